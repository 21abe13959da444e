export type Transport = "auto" | "websocket" | "sse";

/**
 * The switch that forces a transport. The choice stands in the address (`?transport=sse`), so that a
 * link or a reload keeps it. Returns the one chosen now, and calls `onChange` with each later one.
 *
 * @param root the `#transport` of `index.html`: radio buttons whose values are the transports
 */
export function createTransport(
  root: HTMLElement,
  onChange: (transport: Transport) => void,
): Transport {
  const chosen = read(new URL(location.href).searchParams.get("transport")) ?? "auto";
  for (const radio of root.querySelectorAll("input")) {
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
  return chosen;
}

function read(text: string | null): Transport | undefined {
  return text === "auto" || text === "websocket" || text === "sse" ? text : undefined;
}
