
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
    const rows = Array.from(body.rows).map((row) => [key(row), row]);
    const numeric = rows.every(([key]) => key === "" || Number.isFinite(Number(key)));
    const order = numeric ? (a, b) => Number(a[0]) - Number(b[0]) : (a, b) => a[0].localeCompare(b[0]);
    rows.sort((a, b) => (ascending ? 1 : -1) * order(a, b));
    body.append(...rows.map(([, row]) => row));
  }));
}
