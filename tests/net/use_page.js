// Drives a browser: node use_page.js PREFIX CHROMIUM < job.json > what the page found.json
//
// PREFIX: of npm install playwright-core.  The job: page (its URL), server (base URL), token, file (base64), rebound (a URL).
// Every name that ends in .example leads to 127.0.0.1, as a name in somebody's own DNS could.
"use strict";

const path = require("path");
const [prefix, chromium] = process.argv.slice(2);
const playwright = require(path.join(prefix, "node_modules", "playwright-core"));

// Runs in the page.  Uses nothing but fetch, as any page would.
async function usePage({ server, token, file }) {
    const auth = token ? { Authorization: `Bearer ${token}` } : {};
    const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
    const found = {};
    const append = (url, at, stop, isLast, more) =>
        fetch(url, {
            method: "PATCH",
            body: bytes.slice(at, stop),
            headers: {
                ...auth,
                "Content-Type": "application/partial-upload",
                "Upload-Offset": String(at),
                "Upload-Complete": isLast ? "?1" : "?0",
            },
            ...more,
        });
    const offset = async (url) => Number((await fetch(url, { method: "HEAD", headers: auth })).headers.get("Upload-Offset"));

    // Create an upload, send half, ask for the offset.
    const create = await fetch(new URL("v1/uploads", server), {
        method: "POST",
        headers: { ...auth, "Upload-Complete": "?0", "Upload-Length": String(bytes.length), "X-Request-ID": "from-a-page" },
    });
    found.created = create.status;
    found.requestId = create.headers.get("X-Request-ID");
    found.limit = create.headers.get("Upload-Limit");
    const upload = new URL(create.headers.get("Location"), create.url);
    const half = await append(upload, 0, bytes.length >> 1, false);
    found.half = [half.status, half.headers.get("Upload-Offset")];

    // Break the next request off, and go on from where the server is.
    const stop = new AbortController();
    const broken = append(upload, await offset(upload), bytes.length, true, { signal: stop.signal }).catch((error) => error.name);
    stop.abort();
    found.broken = await broken;
    let last;
    do { // 409 or 400: the request that was broken off came to the server after the question, and may have completed the upload
        const head = await fetch(upload, { method: "HEAD", headers: auth });
        found.resumedAt = Number(head.headers.get("Upload-Offset"));
        const isComplete = head.headers.get("Upload-Complete") === "?1";
        last = isComplete ? head : await append(upload, found.resumedAt, bytes.length, true);
    } while (last.status === 409 || (last.status === 400 && last.headers.get("Upload-Complete") === "?1"));
    found.last = [last.status, last.headers.get("Upload-Complete"), last.headers.get("Repr-Digest")];
    const blob = new URL(last.headers.get("Content-Location"), last.url);

    // Read: a range, rows, and a refusal.
    const range = await fetch(blob, { headers: { ...auth, Range: "bytes=8-15" } });
    found.range = [range.status, range.headers.get("Content-Range"), range.headers.get("ETag"), (await range.arrayBuffer()).byteLength];
    const rows = await fetch(`${blob}?rows=0-3`, { headers: { ...auth, Accept: "application/x-npy" } });
    found.rows = [rows.status, btoa(String.fromCharCode(...new Uint8Array(await rows.arrayBuffer())))];
    const refused = await fetch(new URL("v1/models/" + "0".repeat(64), server), { headers: auth });
    found.refused = [refused.status, (await refused.json()).type];
    const gone = await fetch(blob, { method: "DELETE", headers: auth });
    found.deleted = gone.status;
    return found;
}

// Runs in the page.  What a page may not do: each is refused by the browser.
async function tryAll({ server, token }) {
    const auth = token ? { Authorization: `Bearer ${token}` } : {};
    const outcome = (url, options) => fetch(url, options).then((answer) => answer.status, (error) => error.name);
    return {
        read: await outcome(new URL("v1/", server)),
        create: await outcome(new URL("v1/uploads", server), { method: "POST", headers: { ...auth, "Upload-Complete": "?0" } }),
        remove: await outcome(new URL("v1/containers/" + "0".repeat(64), server), { method: "DELETE", headers: auth }),
    };
}

async function main() {
    const job = JSON.parse(require("fs").readFileSync(0, "utf-8"));
    const browser = await playwright.chromium.launch({
        executablePath: chromium,
        args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP *.example 127.0.0.1"],
    });
    try {
        const page = await browser.newPage();
        const found = {};
        if (job.rebound) {
            found.rebound = (await page.goto(job.rebound)).status();
        }
        await page.goto(job.page);
        found.page = await page.evaluate(job.isAllowed ? usePage : tryAll, job);
        console.log(JSON.stringify(found));
    } finally {
        await browser.close();
    }
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
