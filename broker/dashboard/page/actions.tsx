/** Actions ask before they do anything; what came of one is told in one line. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { errorText } from '../api/faults.ts'
import { Icon } from '../parts/icon.tsx'

export interface Action {
  /** A question: "Disconnect sensor-7?" */
  readonly title: string
  /** What it means. */
  readonly text: string
  /** On the button that does it. */
  readonly verb: string
  readonly isDangerous?: boolean
  /** "sensor-7 was disconnected." */
  readonly done: string
  /** @param tell how far it is */
  run(tell: (progress: string) => void): Promise<void>
}

type State =
  | { readonly kind: 'asking' }
  | { readonly kind: 'running'; readonly progress: string }
  | { readonly kind: 'failed'; readonly reason: string }

/** A modal dialog: the browser keeps the focus in it, Escape leaves it. */
export function ActionDialog({ action, onEnd }: { action: Action; onEnd: (notice: string | null) => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [state, setState] = useState<State>({ kind: 'asking' })
  /** What is told once the dialog is gone. */
  const told = useRef<string | null>(null)
  useEffect(() => dialog.current?.showModal(), [])
  const isRunning = state.kind === 'running'
  const run = async () => {
    told.current = null
    setState({ kind: 'running', progress: '' })
    try {
      await action.run((progress) => setState({ kind: 'running', progress }))
      told.current = action.done
    } catch (error) {
      told.current = errorText(error)
      setState({ kind: 'failed', reason: told.current })
      if (dialog.current !== null) return
    }
    // Closing it gives the focus back to where it was; one that was left earlier tells what came of it all the same.
    if (dialog.current === null) onEnd(told.current)
    else dialog.current.close()
  }
  return (
    <dialog
      ref={dialog}
      aria-labelledby="action-title"
      aria-describedby="action-text"
      onClose={() => onEnd(state.kind === 'running' ? told.current : null)}
    >
      <h2 id="action-title">{action.title}</h2>
      <p id="action-text">{action.text}</p>
      {state.kind === 'failed' && (
        <p class="fault" role="alert">
          <Icon name="cross" /> {state.reason}
        </p>
      )}
      {isRunning && <p role="status">{state.progress || 'Under way \u2026'}</p>}
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          {state.kind === 'asking' ? 'Cancel' : 'Close'}
        </button>
        <button
          type="button"
          class={action.isDangerous ? 'danger' : 'primary'}
          disabled={isRunning}
          onClick={() => void run()}
        >
          {state.kind === 'failed' ? 'Try again' : action.verb}
        </button>
      </div>
    </dialog>
  )
}
