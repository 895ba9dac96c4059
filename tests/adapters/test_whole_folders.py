"""Promise: the folder that a tool leaves, with all that it keeps beside its latents, can be imported as it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aeformat.cli.main import main
from tools.caches.writers import WRITERS, bf16, f16, write_safetensors


def imported(capsys, *arguments: object) -> dict:
    """The report of an import that succeeds."""
    assert main(["import", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# Of kohya-ss/sd-scripts, commit 040c04f17e70ff12474ffc0704f183e154d90d71: the suffixes in library/strategy_sdxl.py, strategy_flux.py,
# strategy_sd3.py, strategy_lumina.py, strategy_hunyuan_image.py and strategy_anima.py.
KOHYA_TEXTS = ("_te_outputs.npz", "_flux_te.npz", "_sd3_te.npz", "_lumina_te.npz", "_hi_te.npz", "_anima_te.npz")


@pytest.mark.parametrize("suffix", KOHYA_TEXTS)
def test_kohya_keeps_texts_beside_latents(tmp_path, capsys, suffix):
    """For each architecture under another name; images and captions lie there too."""
    WRITERS["kohya, resolutions"][1](tmp_path / "cache", 4)
    for i in range(4):
        np.savez(tmp_path / "cache" / f"img{i}{suffix}", t5_out=np.ones((77, 8), np.float32))
        (tmp_path / "cache" / f"img{i}.png").write_bytes(b"\x89PNG")
        (tmp_path / "cache" / f"img{i}.txt").write_text("a cat")

    made = imported(capsys, "kohya", tmp_path / "cache", "-o", tmp_path / "set")

    assert made["files"] == 4
    assert [lost["count"] for lost in made["not_kept"]] == [4, 4, 4]
    (texts,) = [lost for lost in made["not_kept"] if "text encoders" in lost["what"]]
    pattern = texts["what"].split("'")[1]
    made = imported(capsys, "npz", tmp_path / "cache", "--files", pattern, "--key", "t5_out", "-o", tmp_path / "texts")
    assert (made["rows"], made["dims"]) == (4, [77, 8])


def test_ai_toolkit_keeps_embeddings_beside_latents(tmp_path, capsys):
    """ostris/ai-toolkit, toolkit/dataloader_mixins.py, same commit as the writer: _t_e_cache and _clip_vision_cache, in the folder of images."""
    WRITERS["ai-toolkit"][1](tmp_path / "images", 3)
    row = np.ones((2, 3), np.float32)
    for folder in ("_t_e_cache", "_clip_vision_cache"):
        write_safetensors(tmp_path / "images" / folder / "0_aGFzaA.safetensors", {"text_embed": f16(row)})
    (tmp_path / "images" / "0.jpg").write_bytes(b"\xff\xd8")

    made = imported(capsys, "ai-toolkit", tmp_path / "images", "-o", tmp_path / "set")

    assert made["rows"] == 3
    assert {lost["first"] for lost in made["not_kept"]} == {"0.jpg", "_clip_vision_cache", "_t_e_cache"}
    where = tmp_path / "images" / "_t_e_cache"
    made = imported(capsys, "safetensors", where, "--key", "text_embed", "-o", tmp_path / "texts")
    assert made["rows"] == 1


def test_musubi_keeps_texts_beside_latents(tmp_path, capsys):
    WRITERS["musubi-tuner, control images"][1](tmp_path / "cache", 4)
    row = np.ones((5, 8), np.float32)
    write_safetensors(tmp_path / "cache" / "img0_f2_te.safetensors", {"ctx_vec_bfloat16": bf16(row)}, caption1="a cat")

    made = imported(capsys, "musubi", tmp_path / "cache", "-o", tmp_path / "set")

    assert made["rows"] == 4 and made["fields"]["vae_scaling_factor"] == ["float32"]
    assert {"latents_control_0", "latents_control_1"} <= made["fields"].keys()
    assert [(lost["count"], lost["first"]) for lost in made["not_kept"]] == [(1, "img0_f2_te.safetensors")]
