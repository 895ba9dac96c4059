"""The page of `aeformat view` in Chromium.

Needs the built page (`npm ci --prefix tools/page && npm run build --prefix tools/page`), node, chromium, and the npm package
`playwright-core` (AEFORMAT_BROWSER: its --prefix).  Skipped where one is missing; AEFORMAT_REQUIRE_ALL=1 turns that into a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from js.running import program

import aeformat
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows
from aeformat.container.writer import LatentsWriter
from aeformat.images import demo_digits
from aeformat.model.file_io import package_bytes

from .running import BUILT, PAGE, READY, ROOT, drive, need_page, viewing

VECTORS = ROOT / "spec" / "vectors" / "container" / "invalid"
PIXELS = """
const pixels = (selector) => page.evaluate((selector) => {
  const canvas = document.querySelector(selector);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { width: canvas.width, height: canvas.height, data: Array.from(data) };
}, selector);
// What has been asked of the page's own thread is done after some frames: it draws again in the next frame, and paints behind that.
const settled = () => page.evaluate(() => new Promise((resolve) => {
  let n = 0;
  const step = () => (++n > 5 ? resolve() : requestAnimationFrame(() => setTimeout(step)));
  step();
}));
const drawn = (selector) => page.waitForFunction((selector) => document.querySelector(selector)?.width > 1, selector);
"""
DROP = """
const drop = async (files) => {
  const transfer = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const [name, text] of files) transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
    return transfer;
  }, files);
  await page.dispatchEvent(".app", "drop", { dataTransfer: transfer });
};
"""

VIEWS = {"Images": ".cell canvas", "Latents": ".map", "File": "table", "Problems": ".page", "Bytes": ".hex .line"}


def grey(found: dict) -> np.ndarray:
    """The red of a canvas."""
    return np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)[..., 0]


def unpacked(path: Path, decoder: str | None = None) -> np.ndarray:
    """What this package makes of a file of images of one size."""
    out = path.with_suffix(".npy")
    aeformat.unpack(path, out, backend="numpy", force=True)
    return np.load(out)


def unpacked_sizes(path: Path) -> list[np.ndarray]:
    """The same of images of their own size."""
    out = path.with_suffix(".npz")
    aeformat.unpack(path, out, backend="numpy", force=True)
    with np.load(out) as made:
        return list(made.values())


def text64(path: Path) -> list[str]:
    """A file for the page to be given: name and bytes."""
    import base64

    return [path.name, base64.b64encode(path.read_bytes()).decode()]


def test_ten_thousand_digits(many):
    """All receipts are proved; a grid of them has few elements; the last one is reached by a key, and has the right pixels."""
    with viewing(many) as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} await page.waitForSelector('.cell');"
            "const status = await page.innerText('.status');"
            "await page.locator('.cell').first().focus(); await page.keyboard.press('End');"
            "await drawn('[data-image=\"9999\"] canvas');"
            "const isThere = await page.evaluate(() => document.activeElement.dataset.image);"
            "return { status, isThere, cells: await page.locator('.cell').count(), last: await pixels('[data-image=\"9999\"] canvas'), axe: await axe() };",
            url=url,
        )

    assert "Valid" in found["status"] and "157 of 157 receipts proved" in found["status"]
    assert "10,000 images" in found["status"] and "decoder inside the file" in found["status"]
    assert found["isThere"] == "9999" and found["cells"] < 400
    assert np.array_equal(grey(found["last"]), unpacked(many)[-1].reshape(28, 28))
    assert found["axe"] == []


def test_photographs_of_their_own_size(photographs, pair):
    """Each has its name and the very pixels; their receipts are proved with a decoder from outside."""
    decoder = f"{pair}.decoder.aef"
    originals = photographs.with_name("images.npz")
    with viewing(photographs, "--decoder", decoder, "--against", originals) as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} await drawn('[data-image=\"4\"] canvas');"
            "return { status: await page.innerText('.status'), text: await page.innerText('.grid'), images: await Promise.all([0, 4].map((i) => pixels(`[data-image=\"${i}\"] canvas`))) };",
            url=url,
        )

    out = photographs.with_name("out.npz")
    aeformat.unpack(photographs, out, decoder=decoder, backend="numpy", force=True)
    made = np.load(out)
    assert "Valid" in found["status"] and "proved" in found["status"] and "on this machine" in found["status"]
    for image, name in zip(found["images"], ("a.png", "e.png"), strict=True):
        assert name in found["text"]
        pixels = np.array(image["data"], np.uint8).reshape(image["height"], image["width"], 4)[..., :3]
        assert np.array_equal(pixels, made[name])
        mse = np.mean((pixels.astype(int) - np.load(originals)[name]) ** 2) / 255**2
        assert f"{-10 * np.log10(mse):.2f} dB" in found["text"]


def test_five_photographs(five):
    """By the model for photographs, its range coder with passes included: every pixel, and every receipt."""
    with viewing(five) as url:
        found = drive(
            f'{PIXELS} await page.goto(url); {READY} for (let i = 0; i < 5; i++) await drawn(`[data-image="${{i}}"] canvas`);'
            "return { status: await page.innerText('.status'), images: await Promise.all([0, 1, 2, 3, 4].map((i) => pixels(`[data-image=\"${i}\"] canvas`))) };",
            url=url,
        )

    assert "Valid\n" in found["status"] and "1 of 1 receipt proved" in found["status"]
    for image, made in zip(found["images"], unpacked_sizes(five), strict=True):
        pixels = np.array(image["data"], np.uint8).reshape(image["height"], image["width"], 4)[..., :3]
        assert np.array_equal(pixels, made)


def test_a_package_on_the_page_is_a_decoder(photographs, pair):
    """Latents take it, wherever it stands among the files; alone they cannot be checked wholly, and say so."""
    with viewing(photographs, f"{pair}.decoder.aef") as url:
        found = drive(
            f"await page.goto(url); {READY} await page.waitForSelector('.cell'); return page.innerText('.status');",
            url=url,
        )
    with viewing(photographs) as url:
        alone = drive(f"await page.goto(url); {READY} return page.innerText('.status');", url=url)

    assert "Valid\n" in found and "among these files" in found
    assert "Valid so far" in alone and "decoder not here" in alone and "not checked" in alone


def test_a_broken_package_is_passed_over(photographs, pair, tmp_path):
    """It says to be the decoder of latents beside it: they are not broken by it, and take the right one, whatever comes first."""
    broken = tmp_path / "broken.aef"
    data = bytearray(Path(f"{pair}.decoder.aef").read_bytes())
    data[-80] ^= 1
    broken.write_bytes(data)
    tell = "await page.goto(url); await page.getByText('5 images').waitFor(); %s return page.innerText('.status');"
    with viewing(photographs, broken) as url:
        alone = drive(tell % READY, url=url)
    with viewing(photographs, broken, f"{pair}.decoder.aef") as url:
        both = drive(tell % READY, url=url)

    assert "Valid so far" in alone and "decoder not here" in alone
    assert "Valid\n" in both and "among these files" in both


def test_an_image_that_is_too_large_is_refused(tmp_path):
    """21 million pixels in a file of some kilobytes: the page says so at once, and goes on."""
    decoder = aeformat.load_model("photo-3").the_decoder
    header = LatentsHeader(decoder.model_id, (0, 0, 256), (0, 0, 3), "i8", codec="zstd", filter="none")
    row = RaggedRows.of(header.form, [np.zeros((288, 288, 256), np.int8)], [(4608, 4608)])
    with (
        (tmp_path / "large.aef").open("wb") as sink,
        LatentsWriter(sink, header, decoder=package_bytes(decoder)) as out,
    ):
        out.write(row)
    with viewing(tmp_path / "large.aef") as url:
        found = drive(
            f"await page.goto(url); {READY} await page.getByRole('tab', {{ name: 'Images' }}).click();"
            "await page.getByText('too large for this page').waitFor(); const text = await page.innerText('.panel');"
            "await page.getByRole('tab', { name: 'File' }).click(); await page.getByRole('heading', { name: 'Header' }).waitFor();"
            "return { text, canvases: await page.locator('canvas').count() };",
            url=url,
        )

    assert "4608 x 4608 pixels" in found["text"] and "aeformat unpack" in found["text"] and found["canvases"] == 0


def test_files_can_be_dropped(digits, photographs, pair):
    """Latents whose decoder is not here say so; the decoder is dropped behind them, and their images appear."""
    with viewing(digits) as url:
        found = drive(
            f"{DROP} await page.goto(url); {READY} await drop([latents]);"
            "await page.getByText('The decoder is missing').waitFor(); const missing = await page.innerText('.panel');"
            "await drop([decoder]); await page.getByRole('combobox', { name: 'File' }).selectOption('five.aef');"
            "await page.waitForSelector('.cell'); return { missing, status: await page.innerText('.status') };",
            url=url, latents=text64(photographs), decoder=text64(Path(f"{pair}.decoder.aef")),
        )  # fmt: skip

    assert aeformat.load_model(pair).the_decoder.model_id.hex() in found["missing"]
    assert "Valid" in found["status"] and "dropped on this page" in found["status"]


@pytest.mark.parametrize(
    "name", ["540-decoder-is-another-model", "755-receipts-of-another-decoder", "873-decoder-golden-wrong"]
)
def test_a_wrong_decoder_shows_its_rule_and_no_image(name):
    rule = json.loads((VECTORS / f"{name}.json").read_text())
    with viewing(VECTORS / f"{name}.aef") as url:
        found = drive(
            f"await page.goto(url); {READY} const text = await page.innerText('.panel');"
            "await page.getByRole('button', { name: 'Show the bytes' }).click(); await page.waitForSelector('mark');"
            "const tabs = await page.getByRole('tab').allInnerTexts();"
            "return { text, status: await page.innerText('.status'), tabs, canvases: await page.locator('canvas').count(), axe: await axe() };",
            url=url,
        )

    assert rule["rule"] in found["text"] and rule["code"] in found["text"] and "Broken" in found["status"]
    assert "Images" not in found["tabs"] and found["canvases"] == 0
    assert found["axe"] == []


def test_a_hostile_file_runs_nothing(digits, tmp_path):
    """A flipped bit is found and marked; names that look like HTML are text."""
    evil = "<img src=x onerror=document.title='run'>.aef"
    data = bytearray(digits.read_bytes())
    data[5000] ^= 1
    (tmp_path / evil).write_bytes(data)
    with aeformat.open(digits) as latents, (tmp_path / "named.aef").open("wb") as sink:
        names = RowNames(names=tuple(f"<script>document.title='run'<|script>{i}" for i in range(100)))
        with LatentsWriter(sink, latents.header) as writer:
            writer.write(latents.rows(0, 100), names)
    with viewing(tmp_path / evil, tmp_path / "named.aef") as url:
        found = drive(
            f"await page.goto(url); {READY} const text = await page.innerText('.panel');"
            "await page.getByRole('button', { name: 'Show the bytes' }).click(); await page.waitForSelector('mark');"
            "const at = await page.getByRole('spinbutton', { name: 'Byte' }).inputValue();"
            "await page.getByRole('combobox', { name: 'File' }).selectOption('named.aef'); await page.getByText('script>99').waitFor();"
            "return { text, at, title: await page.title() };",
            url=url, height=4000,
        )  # fmt: skip

    problem = aeformat.validate(tmp_path / evil).problems[0]
    assert problem.rule in found["text"] and found["at"] == str(problem.inside_at + problem.at)
    assert found["title"] == "named.aef · aeformat"


def test_the_page_speaks_to_nobody_else(digits):
    """Its own policy stops what a hostile file could try, if there were a way: another address, a script, an image."""
    with viewing(digits) as url:
        found = drive(
            f"await page.goto(url); {READY} return page.evaluate(() => new Promise((resolve) => {{"
            "  const stopped = []; document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => stopped.push(effectiveDirective) === 3 && resolve(stopped.sort()));"
            "  fetch('http://127.0.0.1:9/').catch(() => null);"
            "  const script = document.createElement('script'); script.textContent = 'document.title = 1'; document.body.append(script);"
            "  const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; }));",
            url=url, refused=True,
        )  # fmt: skip

    assert found == ["connect-src", "img-src", "script-src-elem"]


def test_originals_and_the_difference(digits):
    """PSNR is that of the pixels; the difference is black where nothing differs."""
    with viewing(digits, "--against", digits.with_name("originals.npy")) as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} await drawn('[data-image=\"3\"] canvas');"
            "const text = await page.innerText('[data-image=\"3\"]');"
            "await page.getByRole('radio', { name: 'Beside the original' }).check(); await page.waitForFunction(() => document.querySelectorAll('[data-image=\"3\"] canvas').length === 2);"
            "await page.locator('[data-image=\"3\"]').click(); await drawn('dialog canvas');"
            "await page.locator('dialog').getByRole('radio', { name: 'Difference' }).check();"
            "await page.getByRole('combobox', { name: 'times' }).selectOption('1'); await settled();"
            "return { text, original: await pixels('[data-image=\"3\"] canvas'), difference: await pixels('dialog canvas'), axe: await axe() };",
            url=url,
        )

    original, made = demo_digits()[3, ..., 0], unpacked(digits)[3].reshape(28, 28)
    apart = np.abs(original.astype(int) - made)
    assert f"{-10 * np.log10(np.mean((apart / 255) ** 2)):.2f} dB" in found["text"]
    assert np.array_equal(grey(found["original"]), original)
    assert np.array_equal(grey(found["difference"]), apart)
    assert found["axe"] == []


def test_a_slider_moves_the_latent(digits):
    """The image of the moved latent is what the decoder makes of it."""
    with viewing(digits) as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} await page.locator('[data-image=\"7\"]').click(); await drawn('dialog canvas');"
            "await page.getByText('Move the latent').click(); await page.locator('.sliders input').nth(5).fill('200');"
            "await page.getByText('drawn in').waitFor(); await settled(); const moved = await pixels('dialog canvas');"
            "await page.getByRole('button', { name: 'Back to' }).click(); await settled();"
            "return { moved, back: await pixels('dialog canvas') };",
            url=url,
        )

    with aeformat.open(digits) as latents:
        row = np.array(latents.rows(7, 8))
    moved = row.copy()
    moved[0, 5] = 200
    decoder = aeformat.load_model("mnist-exact")
    assert np.array_equal(grey(found["moved"]), decoder.decode(moved)[0, ..., 0])
    assert np.array_equal(grey(found["back"]), decoder.decode(row)[0, ..., 0])


def test_all_of_it_by_the_keyboard(digits):
    """From the first Tab into a large image, to the next one, and back to where one was; then to another view."""
    with viewing(digits) as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} await drawn('[data-image=\"2\"] canvas'); const press = async (...keys) => {{ for (const key of keys) await page.keyboard.press(key); }};"
            "const where = () => page.evaluate(() => document.activeElement.dataset.image ?? document.activeElement.textContent);"
            "const move = async (key) => { const before = await where(); await press(key); while (await where() === before) await page.waitForTimeout(20); };"
            "await press('Tab', 'Tab'); const tab = await where();"
            "await press('Tab', 'Tab'); await move('ArrowRight'); await move('ArrowRight'); await page.waitForFunction(() => document.activeElement.dataset.image === '2');"
            "await press('Enter'); await drawn('dialog canvas'); await press('ArrowRight'); await page.getByText('4 of 100').waitFor();"
            "await press('Escape'); await page.waitForSelector('dialog', { state: 'detached' }); const back = await where();"
            "await press('Shift+Tab', 'Shift+Tab'); await move('ArrowRight'); await move('ArrowRight'); await page.getByRole('heading', { name: 'Header' }).waitFor();"
            "return { tab, back, other: await where() };",
            url=url,
        )

    assert found == {"tab": "Images", "back": "2", "other": "File"}


def test_a_saved_page_works_offline(photographs, pair, tmp_path):
    """From disk, without network, decoder included."""
    need_page()
    page = tmp_path / "page.html"
    command = [
        sys.executable,
        "-m",
        "aeformat",
        "view",
        photographs,
        "--decoder",
        f"{pair}.decoder.aef",
        "--save",
        page,
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    found = drive(
        "const asked = []; page.on('request', (request) => asked.push(new URL(request.url()).protocol)); await context.setOffline(true);"
        f"{PIXELS} await page.goto(url); {READY} await drawn('[data-image=\"2\"] canvas');"
        "return { status: await page.innerText('.status'), asked: [...new Set(asked)] };",
        url=page.as_uri(),
    )

    assert "Valid" in found["status"] and "saved in this page" in found["status"]
    assert set(found["asked"]) <= {"file:", "blob:", "data:"}


def test_a_package_by_itself(pair):
    """Its layers are listed; a slider makes an image."""
    with viewing(f"{pair}.decoder.aef") as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} await page.locator('.sliders input').first().fill('5'); await drawn('.stage canvas');"
            "await page.getByRole('tab', { name: 'File' }).click(); return { text: await page.innerText('.panel'), axe: await axe() };",
            url=url,
        )

    assert aeformat.load_model(pair).the_decoder.model_id.hex() in found["text"] and "2 layers" in found["text"]
    assert found["axe"] == []


def test_a_large_file_keeps_nobody_waiting(digits, tmp_path):
    """200 MB: images are there, the last one too, before the check has read a byte; and memory does not grow with the file."""
    path, rows = tmp_path / "large.aef", np.random.default_rng(3).integers(90, 160, (1 << 16, 64)).astype(np.uint8)
    with aeformat.open(digits) as latents:
        header = latents.header._replace(codec="none", filter=None)
    with path.open("wb") as sink, LatentsWriter(sink, header) as writer:
        for _ in range(48):
            writer.write(rows)
    with viewing(path) as url:
        found = drive(
            "let start; const isSeen = new Promise((resolve) => (start = resolve));"  # the check reads the file without a range
            "await page.route('**/files/0', async (route) => { if (!route.request().headers().range) await isSeen; await route.continue(); });"
            "await page.goto(url); await page.waitForSelector('.cell canvas:not(.empty)');"
            "await page.locator('.cell').first().focus(); await page.keyboard.press('End');"
            f"{PIXELS} await drawn('[data-image=\"3145727\"] canvas'); const during = await page.innerText('.status'); start();"
            f"{READY} return {{ during, after: await page.innerText('.status'), last: await pixels('[data-image=\"3145727\"] canvas'), peak: peak() }};",
            url=url,
        )

    assert path.stat().st_size > 200_000_000
    assert "Checking" in found["during"] and "Valid" in found["after"]
    assert np.array_equal(grey(found["last"]), aeformat.load_model("mnist-exact").decode(rows[-1:])[0, ..., 0])
    assert found["peak"] < 600_000_000  # Chromium alone takes 150 MB; the rest is what it has not collected yet


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_every_view_at_every_width(digits, width, dark):
    """Nothing sticks out, and axe finds nothing wrong."""
    with viewing(digits) as url:
        found = drive(
            f"{PIXELS} await page.goto(url); {READY} const wrong = [];"
            "for (const [tab, there] of Object.entries(views)) {"
            "  await page.getByRole('tab', { name: tab }).click(); await page.waitForSelector(there); await settled(); wrong.push(...await axe());"
            "  if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) wrong.push(`${tab} is too wide`);"
            "}"
            "return wrong;",
            url=url, views=VIEWS, width=width, dark=dark,
        )  # fmt: skip

    assert found == []


def test_the_page_is_that_of_its_sources(tmp_path):
    """Building it again gives the same bytes."""
    need_page()
    out = tmp_path / "view.html"
    subprocess.run([program("node"), str(PAGE / "build.mjs"), str(out)], cwd=PAGE, check=True, timeout=300)

    assert out.read_bytes() == BUILT.read_bytes()


def test_the_lock_names_no_registry():
    """Whoever installs takes the registry that they have chosen; and the page decompresses by what the package was tested with."""
    lock, of_package = (
        json.loads((folder / "package-lock.json").read_text())["packages"] for folder in (PAGE, ROOT / "tools/js")
    )

    assert not any("resolved" in entry for entry in lock.values())
    assert lock["node_modules/fzstd"] == of_package["node_modules/fzstd"]
