import { useEffect, useState } from "preact/hooks";

/** State that can be listened to. */
export class Listened {
  constructor() {
    this.listeners = new Set();
  }

  set(fields) {
    Object.assign(this, fields);
    for (const listener of this.listeners) listener();
  }
}

/** Draw the component again whenever the state changes. @param {Listened} state */
export function useListened(state) {
  const [, again] = useState(0);
  useEffect(() => {
    const listener = () => again((n) => n + 1);
    state.listeners.add(listener);
    listener();
    return () => state.listeners.delete(listener);
  }, [state]);
  return state;
}
