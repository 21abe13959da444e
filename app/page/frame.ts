/**
 * Puts drawing off to the next animation frame: however often the returned function is called, `draw`
 * runs at most once a frame, and not at all while the page is hidden.
 */
export function perFrame(draw: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
