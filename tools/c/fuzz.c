/* A target for libFuzzer: any bytes through aef.h as a reader, a validator and a reader that seeks, within 8 MiB.
 *
 *     clang -g -O1 -DAEF_ZSTD -fsanitize=fuzzer,address,undefined -o fuzz tools/c/fuzz.c -lzstd
 *     ./fuzz -max_total_time=300 CORPUS      a folder with the vectors; new inputs are written there
 *
 * Mutated bytes seldom keep a checksum: CRCs are set right first, unless AEF_FUZZ_RAW is defined.
 */
#define AEF_IMPLEMENTATION
#include "aef.h"

/* Sets the CRCs of preamble, header, chunks and trailer right, as far as the structures can be followed. */
static void set_checksums(uint8_t *p, uint64_t n) {
    uint8_t number[8];
    uint32_t chunks = 0, chain = 0, header_len;
    if (n < 24) return;
    header_len = aef__u32(p + 12);
    if (header_len > n - 24) return;
    aef__put32(p + 16, aef__crc(0, p + 24, header_len));
    aef__put32(p + 20, aef__crc(0, p, 20));
    memcpy(number, p + 16, 4);
    int padded = 0, aligned = 0;
    for (uint64_t i = 24; i + 12 < 24 + header_len; i++) { /* "codec" "none" and "byte_order" "little", wherever they stand */
        padded |= !memcmp(p + i, "\xa5" "codec\xa4none", 11);
        aligned |= !memcmp(p + i, "\xa6little", 7);
    }
    for (uint64_t at = 24 + header_len;; chunks++) {
        aef__put32(number + 4, chunks);
        if (n - at < 32) return;
        if (!memcmp(p + at, "TAIL", 4)) {
            if (n - at < 64) return;
            aef__put32(p + at + 24, chain);
            memcpy(number + 4, p + at + 4, 4);
            aef__put32(p + at + 60, aef__crc(aef__crc(0, number, 8), p + at, 60));
            return;
        }
        uint64_t payload = at + 32, stored = aef__u32(p + at + 16);
        if (padded && aligned && (!memcmp(p + at, "ROWS", 4) || !memcmp(p + at, "TENS", 4))) payload += (64 - payload % 64) % 64;
        if (payload > n || stored > n - payload) return;
        aef__put32(p + at + 24, aef__crc(aef__crc(0, number, 8), p + payload, stored));
        aef__put32(p + at + 28, aef__crc(aef__crc(0, number, 8), p + at, 28));
        chain = aef__crc(chain, p + at + 28, 4);
        at = payload + stored;
    }
}

/* What a program does with a good file. */
static void use(aef_file *f) {
    uint8_t *out = (uint8_t *)malloc(1 << 20);
    for (uint64_t i = 0; out && i < aef_row_count(f) && i < 4; i++) {
        uint64_t row = i < 2 ? i : aef_row_count(f) - 1 - (i - 2), bytes = 1 << 20;
        const uint8_t *name;
        uint8_t digest[32];
        aef_field field;
        uint32_t n, dims[8], image[3];
        (void)aef_row_shape(f, row, dims, image);
        (void)aef_row(f, row, out, &bytes);
        (void)aef_name(f, row, "names", &name, &n);
        for (uint64_t k = 0; k < 4 && aef_field_of(f, row, k, &field) == AEF_OK; k++)
            aef_sha256(field.value, field.bytes, digest);
        bytes = 1 << 20;
        (void)aef_pixels(f, row, out, &bytes);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = (uint8_t *)malloc(size + (size == 0));
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
#ifndef AEF_FUZZ_RAW
    set_checksums(copy, size);
#endif
    for (int way = 0; way < 3; way++) {
        aef_options options;
        memset(&options, 0, sizeof options);
        options.max_bytes = 8u << 20, options.max_work = 1u << 14;
        options.validate = way == 1, options.seek = way == 2;
        aef_file *f = aef_open(copy, size, &options);
        if (f && !aef_failed(f)) use(f);
        aef_close(f);
    }
    free(copy);
    return 0;
}
