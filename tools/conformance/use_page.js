// Drives a browser: node use_page.js PREFIX CHROMIUM URL > what the page left in window.found, as JSON
"use strict";

const path = require("path");
const [prefix, chromium, url] = process.argv.slice(2);
const playwright = require(path.join(prefix, "node_modules", "playwright-core"));

async function main() {
    const browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox"] });
    try {
        const page = await browser.newPage();
        page.on("pageerror", (error) => console.error(String(error)));
        page.on("console", (message) => console.error(message.text()));
        const session = await browser.newBrowserCDPSession();
        await page.exposeFunction("processorSeconds", async () => { // of the processes that run pages, all threads
            const { processInfo } = await session.send("SystemInfo.getProcessInfo");
            return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { cpuTime }) => sum + cpuTime, 0);
        });
        await page.goto(url);
        const found = await page.waitForFunction(() => window.found, null, { timeout: 300000 });
        console.log(JSON.stringify(await found.jsonValue()));
    } finally {
        await browser.close();
    }
}

main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
