/** The Apache Kafka that the tests run against. Changing it fetches a new set of jars beside the old one. */
export const KAFKA_VERSION = '4.2.0'

/** Oldest Java that a Kafka 4 broker runs on. */
export const JAVA_VERSION_MIN = 17

/**
 * What Maven resolves. Kafka's POMs leave the logging backend out, and without one the broker is silent: nobody
 * would learn why it did not start. Kafka logs through SLF4J 1.7, hence `log4j-slf4j-impl`, not `log4j-slf4j2-impl`.
 */
export const KAFKA_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>headwater.test</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-api</artifactId><version>2.25.1</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.1</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version></dependency>
  </dependencies>
</project>
`
