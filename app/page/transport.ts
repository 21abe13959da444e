export type Transport = "auto" | "websocket" | "sse";

/** The switch that forces a transport. */
export interface TransportSwitch {
  readonly chosen: Transport;
  /** Marks the transport in use, which with `auto` is not the one chosen; undefined for none. */
  mark(used: Transport | undefined): void;
}

/**
 * Makes the switch. The choice stands in the address (`?transport=sse`), so that a link or a reload
 * keeps it; `onChange` is called with each later one.
 *
 * @param root the `#transport` of `index.html`: radio buttons whose values are the transports
 */
export function createTransport(
  root: HTMLElement,
  onChange: (transport: Transport) => void,
): TransportSwitch {
  const chosen = read(new URL(location.href).searchParams.get("transport")) ?? "auto";
  const radios = [...root.querySelectorAll("input")];
  for (const radio of radios) {
    radio.checked = radio.value === chosen;
    radio.addEventListener("change", () => {
      const transport = read(radio.value);
      if (!radio.checked || transport === undefined) return;
      const url = new URL(location.href);
      if (transport === "auto") url.searchParams.delete("transport");
      else url.searchParams.set("transport", transport);
      history.replaceState(undefined, "", url);
      onChange(transport);
    });
  }
  let marked: Transport | undefined;
  return {
    chosen,
    mark(used) {
      if (used === marked) return;
      marked = used;
      for (const { value, parentElement } of radios) {
        parentElement?.toggleAttribute("data-used", value === used);
        if (parentElement) parentElement.title = value === used ? "In use" : "";
      }
    },
  };
}

function read(text: string | null): Transport | undefined {
  return text === "auto" || text === "websocket" || text === "sse" ? text : undefined;
}
