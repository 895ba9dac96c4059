// Drives a browser: node drive.js PREFIX CHROMIUM AXE < job.json > what the job's script returned.json
//
// The job: {script, width, height, dark}.  The script is the body of an async function with `page`, `context`, and `axe()`, which
// gives what axe-core finds wrong with the page as it is, and `peak()`, the bytes that the largest process of a page had at most.
"use strict";

const fs = require("fs");
const path = require("path");
const [prefix, chromium, axeFile] = process.argv.slice(2);
const playwright = require(path.join(prefix, "node_modules", "playwright-core"));
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

// Linux only: the renderers among our descendants.
function peak() {
    const read = (pid, name) => { try { return fs.readFileSync(`/proc/${pid}/${name}`, "utf-8"); } catch { return ""; } };
    const parent = (pid) => Number(/^PPid:\s+(\d+)/m.exec(read(pid, "status"))?.[1] ?? 0);
    const isOurs = (pid) => pid > 1 && (pid === process.pid || isOurs(parent(pid)));
    const renderers = fs.readdirSync("/proc").map(Number).filter((pid) => pid && read(pid, "cmdline").includes("--type=renderer") && isOurs(pid));
    return 1024 * Math.max(...renderers.map((pid) => Number(/^VmHWM:\s+(\d+)/m.exec(read(pid, "status"))?.[1] ?? 0)));
}

async function main() {
    const job = JSON.parse(fs.readFileSync(0, "utf-8"));
    const browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
    try {
        const context = await browser.newContext({
            viewport: { width: job.width, height: job.height },
            colorScheme: job.dark ? "dark" : "light",
        });
        const page = await context.newPage();
        page.setDefaultTimeout(1000 * (Number(process.env.AEFORMAT_BROWSER_SECONDS) || 300));
        const errors = [];
        page.on("pageerror", (error) => errors.push(String(error)));
        page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
        const axe = async () => {
            const source = fs.readFileSync(axeFile, "utf-8"); // by the debugger, which the page's own policy does not bind
            await page.evaluate(source);
            const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
            return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary).join(" | ")}`);
        };
        const result = await new AsyncFunction("page", "context", "axe", "peak", job.script)(page, context, axe, peak);
        console.log(JSON.stringify({ result, errors }));
    } finally {
        await browser.close();
    }
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
