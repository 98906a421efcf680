// The rest of the page: colours, tables that can be sorted, copying, keys; and the start.

document.documentElement.classList.add("js");

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function sortBy(heading) {
  const table = heading.closest("table");
  const column = [...heading.parentElement.children].indexOf(heading);
  const rising = heading.getAttribute("aria-sort") !== "ascending";
  findAll("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const read = (row) => row.children[column].dataset.value ?? row.children[column].textContent.trim();
  const compare = (a, b) => {
    const [one, two] = [Number(a), Number(b)];
    return Number.isNaN(one) || Number.isNaN(two) ? a.localeCompare(b) : one - two;
  };
  const rows = [...table.tBodies[0].rows].sort((a, b) => compare(read(a), read(b)) * (rising ? 1 : -1));
  table.tBodies[0].append(...rows);
}

async function copyCommand(button) {
  const code = find("code", button.parentElement);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code); // where pages may not write: ready for Ctrl-C
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, textarea, input[type=text]")) return;
    if (event.key.startsWith("Arrow") && event.target.matches("input, .scroll")) return; // these have a use of their own
    const maps = data.cases.length ? data.cases[state.case].maps : [];
    if (event.key === "t") changeTheme();
    else if (event.target.closest("[data-own-keys]") || !maps.length) return; // of a live part
    else if (event.key === "ArrowLeft") selectCase(state.case - 1);
    else if (event.key === "ArrowRight") selectCase(state.case + 1);
    else if (event.key === "c") compareWith(state.other === null ? maps.find((map) => map !== state.map) ?? null : null);
    else if (/^[1-9]$/.test(event.key) && maps[event.key - 1] !== undefined) select(maps[event.key - 1]);
  });
}

function compareWith(map) {
  state.other = map;
  select(state.map);
}

function start() {
  find("#theme").addEventListener("click", changeTheme);
  findAll(".sortable thead th").forEach((heading) => find("button", heading).addEventListener("click", () => sortBy(heading)));
  findAll(".copy").forEach((button) => button.addEventListener("click", () => copyCommand(button)));
  listenToKeys();
  if (!data.cases.length) return;
  listenToPictures();
  listenToWalks();
  findAll("#strip button").forEach((button) => button.addEventListener("click", () => selectCase(Number(button.dataset.case))));
  findAll(".thumb").forEach((button) => button.addEventListener("click", () => select(Number(button.dataset.map), { scroll: true })));
  find("#back").addEventListener("click", () => selectCase(state.case - 1));
  find("#on").addEventListener("click", () => selectCase(state.case + 1));
  find("#other").addEventListener("change", (event) => compareWith(event.target.value === "" ? null : Number(event.target.value)));
  find("#alpha").addEventListener("input", (event) => { state.alpha = event.target.value / 100; paint(); });
  find("#level").addEventListener("input", (event) => { state.level = Number(event.target.value); paint(); });
  selectCase(0);
}

window.onnxplain = { data, state, loadPhoto, loadLevels, select, takeDetail };
start();
