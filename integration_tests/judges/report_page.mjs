// Opens pages that `--report` writes in Chromium, at two widths, light and dark: axe finds nothing serious, the body does not overflow,
// nothing is requested, and names that try to inject markup are text. `--update` writes the picture for the README.
//
//     SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo MODULES=.cache/report-page/node_modules \
//         node integration_tests/judges/report_page.mjs [--update] [FOLDER]
//
// Screenshots and a PDF of each page go to FOLDER, by default `.cache/report-page`.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(join(resolve(process.env.MODULES), "index.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const root = new URL("../../", import.meta.url).pathname;
const isUpdate = process.argv.includes("--update");
const shots = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? join(root, ".cache/report-page");
const folder = mkdtempSync(join(tmpdir(), "report-page-"));
mkdirSync(shots, { recursive: true });

const SECRET = "sandbox+secret/with=signs";
const MARKUP = `</title><script>document.title = "injected"</script><img src=x onerror="document.title = 'injected'">&lt;b&gt;`;

const source = (codes, ...parameters) => {
  const run = spawnSync(resolve(process.env.SOURCE), parameters, { cwd: folder, encoding: "utf8", maxBuffer: 1 << 30 });
  assert.ok(codes.includes(run.status), `${parameters.join(" ")}: ${run.status} ${run.stderr}`);
  return run;
};

// A sandbox with 12 advertisers and its configuration.
const sandbox = spawn(resolve(process.env.SANDBOX), ["--port", "0", "--control-port", "0", "--today", "2026-11-01", "--advertisers", "12"]);
const lines = createInterface({ input: sandbox.stdout })[Symbol.asyncIterator]();
const [url, control] = [(await lines.next()).value, (await lines.next()).value].join("\n").match(/http:\/\/127\.0\.0\.1:\d+/g);
const order = async (path, body) => {
  const reply = await fetch(control + path, { method: "POST", body: JSON.stringify(body) });
  assert.ok(reply.ok, `${path}: ${await reply.text()}`);
};
const configure = (today) =>
  writeFileSync(
    join(folder, "criteo.json"),
    JSON.stringify({
      client_id: "sandbox-client", client_secret: SECRET, currency: "EUR", start_date: "2026-07-01",
      now: `${today}T12:00:00Z`, api_base_url: url, backoff_percent: 1,
    }),
  );

const pages = ["demo", "faults", "restated"];
try {
  source([0], "demo", "report", "demo.html");
  configure("2026-11-01");
  const streams = "campaign_statistics_daily,ad_set_statistics_daily,campaigns";
  const report = (name) => ["export", "out", "-c", "criteo.json", "--streams", streams, "--report", `${name}.html`];
  const statistics = { path: "/statistics/" };
  // Enough rows for all campaigns: the page shows those with the most spend.
  const renamed = Object.fromEntries(
    Array.from({ length: 400 }, (_, row) => ["Campaign", "Advertiser"].map((column) => [`/Rows/${row}/${column}`, MARKUP])).flat(),
  );
  await order("/faults", [
    { match: { ...statistics, text: '["AdvertiserId","Day"]', window: "2026-07-01" }, times: null, do: { mutate: { "/Rows/0/Displays": "7777777" } } },
    { match: { ...statistics, text: '"CampaignId"', covers: "2026-10-20", advertiser: "1004" }, times: null, do: { status: 500, body: "{}" } },
    { match: { ...statistics, text: '"CampaignId"' }, times: null, do: { mutate: renamed } },
  ]);
  source([1], ...report("faults"));
  await fetch(`${control}/faults`, { method: "DELETE" });
  await order("/options", { today: "2026-11-04" });
  configure("2026-11-04");
  source([0], ...report("restated"));
} finally {
  sandbox.kill();
}

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"],
});
let views = 0;
try {
  for (const name of pages) {
    const file = join(folder, `${name}.html`);
    assert.ok(!readFileSync(file, "utf8").includes(SECRET), `${name}: a secret`);
    for (const width of [400, 1400]) {
      for (const scheme of ["light", "dark"]) {
        const where = `${name} at ${width} pixels, ${scheme}`;
        const page = await browser.newPage();
        const requests = [];
        page.on("request", (request) => requests.push(request.url()));
        page.on("pageerror", (error) => assert.fail(`${where}: ${error}`));
        await page.setViewport({ width, height: 900 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.goto(pathToFileURL(file).href, { waitUntil: "load" });
        const found = await page.evaluate(() => ({
          title: document.title,
          active: document.querySelectorAll("script, img, iframe, link, object, embed, form, audio, video, base").length,
          handlers: [...document.querySelectorAll("*")].flatMap((element) => [...element.attributes])
            .filter((attribute) => /^on|^javascript:/i.test(attribute.name) || /^\s*javascript:/i.test(attribute.value)).length,
          inner: window.innerWidth,
          scroll: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth),
          cells: document.querySelectorAll("#days use").length,
          titles: document.querySelectorAll("#days use > title").length,
          names: [...document.querySelectorAll("#campaigns .name")].map((element) => element.textContent),
          shown: [...document.querySelectorAll("#days .months use")].map((use) => use.getAttribute("href")).join(""),
        }));
        assert.ok(!found.title.includes("injected"), where);
        assert.equal(found.active + found.handlers, 0, `${where}: elements that are not the page's`);
        assert.ok(found.scroll <= found.inner, `${where}: ${found.scroll} pixels wide`);
        assert.ok(found.titles > 20 && found.cells > found.titles, `${where}: ${found.titles} cells`);
        if (name === "faults") {
          assert.ok(found.names.some((text) => text.startsWith(MARKUP)), `${where}: ${found.names}`);
          for (const symbol of ["#a", "#s", "#d", "#m"]) assert.ok(found.shown.includes(symbol), `${where}: no cell ${symbol}`);
        }
        await page.screenshot({ path: join(shots, `${name}-${width}-${scheme}.png`), fullPage: true });
        // All of it, with what is folded.
        await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
        const { violations } = await page.evaluate(`${axe}; axe.run({ resultTypes: ["violations"] })`);
        const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
        const text = grave.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.length} nodes, such as ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`);
        assert.deepEqual(text, [], where);
        assert.deepEqual(requests, [pathToFileURL(file).href], `${where}: requests`);
        if (width === 1400 && scheme === "light") {
          const pdf = await page.pdf({ path: join(shots, `${name}.pdf`), format: "A4", preferCSSPageSize: false });
          assert.ok(pdf.length > 10_000, `${where}: not printable`);
        }
        if (isUpdate && name === "demo" && width === 1400 && scheme === "light") {
          await page.goto(pathToFileURL(file).href);
          await page.setViewport({ width: 1200, height: 1100 });
          const picture = join(root, "docs/pictures/report.png");
          mkdirSync(join(root, "docs/pictures"), { recursive: true });
          await page.screenshot({ path: picture });
          assert.ok(statSync(picture).size < 180_000, `${statSync(picture).size} bytes`);
        }
        await page.close();
        views += 1;
      }
    }
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
console.log(`${pages.length} pages in ${views} views: nothing serious by axe ${require("axe-core/package.json").version}`);
