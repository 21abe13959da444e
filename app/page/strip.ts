import { bytes, count, DASH, percent } from "./figure.ts";
import { parse, type Sample, total } from "./metrics.ts";
import { createRate } from "./rate.ts";
import { find, slot, write } from "./slot.ts";

const POLL_MS = 1_000;
/** Older figures are shown as unknown. Longer than one missed poll, so that a hiccup does not flicker. */
const TRUST_MS = 3_500;
const TREND_POINTS = 60;

/**
 * What the relay does, as its own `/metrics` tell, once a second while the page is visible.
 *
 * @param root the `#strip` of `index.html`
 */
export function startStrip(root: HTMLElement, url: string | URL): void {
  const draw = createStrip(root);
  let readAt = Number.NEGATIVE_INFINITY;

  const poll = async (): Promise<void> => {
    if (document.visibilityState === "visible") {
      try {
        const response = await fetch(url, {
          cache: "no-store",
          signal: AbortSignal.timeout(TRUST_MS),
        });
        if (!response.ok) throw new Error(`Cannot read metrics: status is ${response.status}`);
        const samples = parse(await response.text());
        readAt = performance.now();
        draw(samples, readAt);
      } catch {
        // A relay that cannot be reached is told by the connection's state; here figures become unknown.
        if (performance.now() - readAt > TRUST_MS) draw([], performance.now());
      }
    }
    setTimeout(poll, POLL_MS);
  };
  void poll();
}

function createStrip(root: HTMLElement): (samples: readonly Sample[], nowMs: number) => void {
  const clients = createMeter(root, "clients");
  const upstream = createMeter(root, "upstream");
  const inward = createMeter(root, "in");
  const outward = createMeter(root, "out");
  const saved = createMeter(root, "saved");
  const inRate = createRate();
  const outRate = createRate();

  return (samples, nowMs) => {
    const read = (name: string): number | undefined => total(samples, `keryx_${name}`);

    const here = read("clients");
    clients.show(count(here), byTransport(samples));

    const connections = read("upstream_connections");
    const noun = here === 1 ? "client" : "clients";
    upstream.show(count(connections), here === undefined ? "" : `for ${count(here)} ${noun}`);

    const messagesIn = read("upstream_messages_total");
    const perSecondIn = inRate.read(messagesIn, nowMs);
    inward.show(count(perSecondIn), soFar(messagesIn), perSecondIn);

    const messagesOut = read("deliveries_total");
    const perSecondOut = outRate.read(messagesOut, nowMs);
    outward.show(count(perSecondOut), soFar(messagesOut), perSecondOut);

    const received = read("upstream_received_bytes_total");
    const sent = read("sent_bytes_total");
    const spared =
      sent === undefined || received === undefined ? undefined : Math.max(0, sent - received);
    saved.show(bytes(spared), spared && sent ? `${percent(spared / sent)} of sent` : "");
  };
}

interface Meter {
  /** A `trend` of undefined leaves a gap: the line starts anew. */
  show(value: string, detail: string, trend?: number): void;
}

function createMeter(root: HTMLElement, name: string): Meter {
  const element = find(root, `[data-meter="${name}"]`, HTMLElement);
  const value = slot(element, "value");
  const detail = slot(element, "detail");
  const line = element.querySelector("polyline");
  let trends: number[] = [];
  return {
    show(text, more, trend) {
      write(value, text);
      value.classList.toggle("unknown", text === DASH);
      write(detail, more);
      if (line === null) return;
      trends = trend === undefined ? [] : [...trends, trend].slice(-TREND_POINTS);
      line.setAttribute("points", polyline(trends));
    },
  };
}

/** Newest on the right, scaled to the highest; the box is 60 wide and 20 high. */
function polyline(values: readonly number[]): string {
  const top = Math.max(1, ...values);
  const left = TREND_POINTS - values.length;
  return values
    .map((value, index) => `${left + index + 0.5},${(19 - (18 * value) / top).toFixed(2)}`)
    .join(" ");
}

function soFar(value: number | undefined): string {
  return value === undefined ? "" : `${count(value)} so far`;
}

/** `812 WS · 436 SSE`, most first. */
function byTransport(samples: readonly Sample[]): string {
  const sums = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    if (name !== "keryx_clients" || !(value > 0)) continue;
    const kind = short(labels.transport);
    sums.set(kind, (sums.get(kind) ?? 0) + value);
  }
  return [...sums]
    .sort(([, a], [, b]) => b - a)
    .map(([kind, sum]) => `${count(sum)} ${kind}`)
    .join(" · ");
}

/** All of SignalR's transports are one here. */
function short(transport = "other"): string {
  if (transport.startsWith("signalr")) return "SignalR";
  return { websocket: "WS", sse: "SSE" }[transport] ?? transport;
}
