/**
 * Light or dark: the system's choice until the reader makes another, which is then remembered.
 * Importing this module applies the remembered one; it must run before the first paint.
 */

type Theme = "light" | "dark";

const KEY = "keryx.theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

apply(remembered());

/** Makes `button` switch to the other theme. Back at the system's, the system is followed again. */
export function themeButton(button: HTMLButtonElement): void {
  const label = (): void => {
    button.setAttribute("aria-label", `Switch to the ${other(current())} theme`);
  };
  label();
  systemDark.addEventListener("change", label);
  button.addEventListener("click", () => {
    const next = other(current());
    const chosen = next === system() ? undefined : next;
    remember(chosen);
    apply(chosen);
    label();
  });
}

function apply(theme: Theme | undefined): void {
  if (theme === undefined) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function current(): Theme {
  return read(document.documentElement.dataset.theme) ?? system();
}

function system(): Theme {
  return systemDark.matches ? "dark" : "light";
}

function other(theme: Theme): Theme {
  return theme === "dark" ? "light" : "dark";
}

function read(text: string | null | undefined): Theme | undefined {
  return text === "light" || text === "dark" ? text : undefined;
}

// Storage throws where the reader has forbidden it: the choice then lasts as long as the page.

function remembered(): Theme | undefined {
  try {
    return read(localStorage.getItem(KEY));
  } catch {
    return undefined;
  }
}

function remember(theme: Theme | undefined): void {
  try {
    if (theme === undefined) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // See above.
  }
}
