"""A bucket on loopback for all tests of this folder, and images that tell which they are."""

from __future__ import annotations

import importlib.util
import io
import os
import secrets

import numpy as np
import pytest

from tools.loopback.unkind_bucket import NAME, unkind_bucket

N_IMAGES, PER_SHARD = 60, 8


def require(*names):
    """Skip, or fail where everything was promised."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"not installed: {missing[0]}"
        (pytest.fail if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1" else pytest.skip)(reason)


@pytest.fixture(scope="session")
def bucket():
    """A service with one bucket, which the environment leads to."""
    require("moto", "boto3", "s3fs", "fsspec")
    with unkind_bucket() as service, pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        yield service


@pytest.fixture
def url(bucket):
    """A prefix of the bucket that no other test uses; the bucket is kind again afterwards."""
    bucket.be()
    yield f"s3://{NAME}/{secrets.token_hex(8)}"
    bucket.be()


def digits(n_rows, first=0):
    """(n_rows, 28, 28) uint8, each of its own."""
    rng = np.random.default_rng(first)
    return rng.integers(0, 255, (n_rows, 28, 28), dtype=np.uint8)


def put(url, data):
    """Write an object."""
    import boto3

    bucket, _, key = url.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=data)


def get_keys(url):
    """The objects below a prefix, by what stands behind it."""
    import boto3

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return [entry["Key"].removeprefix(f"{prefix}/") for page in pages for entry in page.get("Contents", ())]


def png(image):
    """An image as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def npy(images):
    """Images as an .npy file."""
    file = io.BytesIO()
    np.save(file, images)
    return file.getvalue()
