// Dark or light: what the system says, until the reader chose. Runs before the first paint, so it is
// no module.

(() => {
  const KEPT = "sherwood.theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  const chosen = () => localStorage.getItem(KEPT);
  const isDark = () => (chosen() ?? (system.matches ? "dark" : "light")) === "dark";

  function show() {
    root.dataset.theme = isDark() ? "dark" : "light";
    document.dispatchEvent(new Event("theme-changed"));
    const button = document.getElementById("theme");
    if (button) button.textContent = isDark() ? "Light" : "Dark";
  }

  show();
  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      localStorage.setItem(KEPT, isDark() ? "light" : "dark");
      show();
    });
  });
})();
