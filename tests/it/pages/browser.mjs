// Opens the pages in Chromium and checks what a person can do there. Reads a JSON object from the standard input, prints
// the failed checks, and ends with status 1 if there are any. Run this script in the folder of the npm packages.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const { program, base, longest, hostile, images } = JSON.parse(readFileSync(0, "utf8"));
const failures = [];
const check = (isKept, text) => isKept || failures.push(text);

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
const WIDE = { width: 1280, height: 800 };
const NOWHERE = "/endpoints/main/none";
const PHONE = { width: 390, height: 844 };

// Opens a page. Violations of its content security policy, errors of its script and dialogs are failures.
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  const page = await context.newPage();
  // Chromium also reports the status of the page that is not found.
  const isNotFound = (message) => path === NOWHERE && message.text().includes("404");
  page.on("console", (message) => check(message.type() !== "error" || isNotFound(message), `${path}: ${message.text()}`));
  page.on("pageerror", (error) => failures.push(`${path}: ${error}`));
  page.on("dialog", (dialog) => {
    failures.push(`${path} opens a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(new URL(path, base).href);
  return page;
}

const names = (page) => page.locator("#results tbody tr td:first-child").allTextContents();
const facts = (page) => page.locator("#results .facts").textContent();

// The longest-missed endpoint is found by visible text, in two clicks.
for (const javaScriptEnabled of [true, false]) {
  const page = await open("/", { javaScriptEnabled });
  await page.getByRole("link", { name: /missed endpoints/i }).first().click();
  await page.waitForURL(/endpoints\?/);
  const first = page.locator("#results tbody tr").first().getByRole("link");
  check((await first.textContent()) === longest.name, `first in the list: ${await first.textContent()}`);
  await first.click();
  await page.waitForURL(/endpoints\/[^/]+\/[^/]+$/);
  const head = await page.locator("h1").textContent();
  check(head.includes(longest.name) && head.includes(longest.id), `the page of the endpoint: ${head}`);
  check((await page.locator("dl").textContent()).includes("yes, since"), "the page says why");
  await page.context().close();
}

// A search while typing keeps the page and the focus, and its link shows the same rows elsewhere.
{
  const page = await open("/endpoints");
  await page.evaluate(() => (window.marker = true));
  const all = await facts(page);
  await page.locator("#q").pressSequentially(longest.search);
  await page.getByLabel("Registration").selectOption("unregistered");
  await page.waitForFunction((all) => document.querySelector("#results .facts").textContent !== all, all);
  await page.waitForURL(/registration=unregistered/);
  await page.waitForFunction(() => !document.querySelector("#results").textContent.includes("registered registered"));
  check(await page.evaluate(() => window.marker === true), "the search has loaded another page");
  check((await page.locator("#q").inputValue()) === longest.search, "the search keeps its text");
  const elsewhere = await open(page.url(), { javaScriptEnabled: false });
  await page.waitForFunction((facts) => document.querySelector("#results .facts").textContent === facts, await facts(elsewhere));
  const [here, there] = [await names(page), await names(elsewhere)];
  check(here.length > 0 && here.join() === there.join(), `a link shows ${there}, not ${here}`);
  check((await elsewhere.locator("#q").inputValue()) === longest.search, "the link keeps the search");
  await page.context().close();
  await elsewhere.context().close();
}

// A hostile alias stays text.
{
  const page = await open(`/endpoints?q=${encodeURIComponent(hostile.name.slice(0, 8))}`);
  check((await names(page)).includes(hostile.name), `hostile: ${await names(page)}`);
  await page.getByRole("link", { name: hostile.name, exact: true }).click();
  await page.waitForURL(/endpoints\/[^/]+\/[^/]+$/);
  check((await page.locator("h1").textContent()).includes(hostile.name), "the alias is text on its page");
  check((await page.locator("main img, main script").count()) === 0, "the alias is an element");
  check(await page.evaluate(() => window.hostile === undefined), "the alias ran");
  await page.context().close();
}

// The policy stops a script that a page would contain.
{
  const page = await open("/");
  page.removeAllListeners("console");
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
  });
  check(await page.evaluate(() => window.injected === undefined), "an injected script ran");
  await page.keyboard.press("Tab");
  const focused = await page.evaluate(() => document.activeElement.textContent);
  check(focused === "Skip to the content", `the first Tab reaches: ${focused}`);
  await page.context().close();
}

// A renewal keeps the place.
{
  const context = await browser.newContext({ viewport: { width: 1280, height: 300 } });
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(new URL("/endpoints", base).href);
  await page.evaluate(() => scrollTo(0, 400));
  const before = await page.evaluate(() => document.querySelector("#results"));
  const renewed = page.waitForResponse((response) => response.url().endsWith("/endpoints"));
  await page.clock.runFor(15000);
  check((await (await renewed).finished()) === null, "the renewal ended");
  check((await page.evaluate(() => scrollY)) === 400, "the renewal keeps the place");
  check(before !== null, "the list was there");
  await context.close();
}

// The screenshots of docs/pages.md and README.md.
const SHOWN = ["overview-1280-light", "overview-1280-dark", "overview-390-light", "overview-390-dark",
  "endpoint-1280-light", "endpoint-390-dark", "endpoints-1280-dark", "endpoints-390-light"];
const PAGES = {
  overview: "/",
  endpoints: "/endpoints?missed=yes&sort=registration",
  endpoint: `/endpoints/main/${longest.id}`,
  groups: "/groups",
  reports: "/reports",
  outages: "/outages",
  "not-found": NOWHERE,
  walks: "/walks?account=main",
};
// A day with faults fits one screen, and nothing is wider than a phone.
const overview = await open("/");
const height = await overview.evaluate(() => document.documentElement.scrollHeight);
check(height <= WIDE.height, `the start page is ${height} pixels high`);
PAGES.outage = await overview.locator("#outages ~ table a").first().getAttribute("href");
await overview.context().close();
for (const [name, path] of Object.entries(PAGES)) {
  for (const viewport of [WIDE, PHONE]) {
    for (const colorScheme of ["light", "dark"]) {
      const label = `${name}-${viewport.width}-${colorScheme}`;
      const page = await open(path, { viewport, colorScheme, bypassCSP: true });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const { id, nodes } of violations) {
        failures.push(`${label}: ${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
      }
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      check(width <= viewport.width, `${label} is ${width} pixels wide`);
      const overlaps = await page.evaluate(() =>
        [...document.querySelectorAll(".columns > div")].some((one) => one.scrollWidth > one.clientWidth));
      check(!overlaps, `columns of ${label} overlap`);
      if (images && SHOWN.includes(label)) await page.screenshot({ path: `${images}/${label}.png` });
      await page.context().close();
    }
  }
}

await browser.close();
console.log(failures.join("\n"));
process.exit(failures.length > 0 ? 1 : 0);
