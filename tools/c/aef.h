/* aef.h: a reader of .aef files (format 1.1) in one C99 header, written from the pages in spec/ alone.  README.md says more.
 * In one .c file: #define AEF_IMPLEMENTATION before #include "aef.h"; with AEF_ZSTD too it reads codec "zstd" through libzstd.
 * It checks a file that lies in memory by the rules of the spec, hands out rows, names, sizes and receipts, and computes
 * packages of profile "exact".  Those of "float32" are checked; to compute with them is refused.  It keeps no state. */
#ifndef AEF_H
#define AEF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { /* the codes of spec/registry.json; aef_code_name gives their names */
    AEF_OK, AEF_NOT_AEF, AEF_UNSUPPORTED, AEF_TRUNCATED, AEF_CHECKSUM, AEF_HEADER, AEF_STRUCTURE, AEF_LIMIT, AEF_COMPRESSION,
    AEF_VALUE, AEF_CONTENT, AEF_RECEIPT, AEF_NAMES, AEF_FIELDS, AEF_MANIFEST, AEF_GOLDEN, AEF_DECODER_MISSING,
    AEF_DECODER_MISMATCH, AEF_USAGE
} aef_code;

typedef enum { AEF_F64, AEF_F32, AEF_F16, AEF_BF16, AEF_U8, AEF_I8, AEF_U16, AEF_I32, AEF_SUMS } aef_type;

typedef struct {
    aef_code code;
    const char *rule; /* "C4-11"; "" where no rule of the file is broken: memory, a codec that is left out, a missing decoder */
    uint64_t at;      /* the byte in the file, or in the embedded decoder if inside is 1 */
    int inside;
} aef_error;

typedef struct aef_file aef_file;

typedef struct { /* all zero: malloc and free, 1 GiB, no limit on work, a reader */
    void *(*alloc)(void *user, size_t bytes);
    void (*release)(void *user, void *block);
    void *user;
    uint64_t max_bytes; /* memory that this file and its embedded decoder may take at one time */
    uint64_t max_work;  /* multiply-adds and elements of one row that a network may take (M7-1), and a golden set of one row */
    int validate;       /* 1: be a validator: embedded decoders, golden sets and receipts too */
    int seek;           /* 1: look at the index and the rows that are asked for only (a seeking reader) */
    aef_file *decoder;  /* an opened package, where the file has none inside, for codec "rans" and pixels; outlives the file */
} aef_options;

/* Opens the file in data, which must stay.  Returns NULL only if there is no memory at all; look at aef_failed before all else.
 * options may be NULL. */
aef_file *aef_open(const void *data, uint64_t bytes, const aef_options *options);
void aef_close(aef_file *file);
const aef_error *aef_failed(const aef_file *file); /* NULL if all is well; else the first rule that is broken */
const char *aef_code_name(aef_code code);

int aef_is_model(const aef_file *file);
int aef_minor(const aef_file *file);
const uint8_t *aef_header(const aef_file *file, uint32_t *bytes); /* canonical msgpack */
const uint8_t *aef_content_id(const aef_file *file);              /* 32 bytes of the trailer; of a package its model id */
uint64_t aef_chunk_count(const aef_file *file);
int aef_has_index(const aef_file *file);

/* Latents.  Values are handed out as bytes: little-endian, in aef_values_type, in C order.  aef_number reads one. */
uint64_t aef_row_count(const aef_file *file);
aef_type aef_values_type(const aef_file *file);
size_t aef_type_bytes(aef_type type);
double aef_number(aef_type type, const void *value);
int aef_axes(const aef_file *file);
/* The shape of a row (dims, 8 numbers at most) and of its image (3 numbers, 0 if not known), its own sizes filled in. */
aef_code aef_row_shape(aef_file *file, uint64_t row, uint32_t *dims, uint32_t *image);
/* *bytes: room in out, then what the row takes.  out may be NULL to ask for the size only. */
aef_code aef_row(aef_file *file, uint64_t row, void *out, uint64_t *bytes);
/* The pixels of a row by the decoder inside or in options, u8; where it has receipts, those of its run are proved first. */
aef_code aef_pixels(aef_file *file, uint64_t row, void *out, uint64_t *bytes);
/* The name of a row, as a value of msgpack: key is "names", "labels" or "sources"; *value is NULL if it has none. */
aef_code aef_name(aef_file *file, uint64_t row, const char *key, const uint8_t **value, uint32_t *bytes);
typedef struct { /* a field of a row; it points into the file or the reader, as long as no other row is asked for */
    const char *name, *type; /* UTF-8 of name_bytes bytes; "int8" ... "float64", "bool", "text" or "bytes" */
    uint32_t name_bytes, axes, sizes[8];
    const uint8_t *value; /* the text or bytes, or numbers, little-endian, in C order; NULL if the row has none */
    uint64_t bytes;
} aef_field;
/* Field 0, 1, ... of a row, in the order of their names; AEF_USAGE behind the last one. */
aef_code aef_field_of(aef_file *file, uint64_t row, uint64_t number, aef_field *field);
uint64_t aef_block_count(const aef_file *file); /* ROWS chunks */
/* Of one ROWS: its rows, the payload of its SIZE and of its rCPT, in the file; 0 bytes where there is none. */
aef_code aef_block(const aef_file *file, uint64_t block, uint64_t *first_row, uint32_t *n_rows, const uint8_t **sizes,
                   uint64_t *sizes_bytes, const uint8_t **receipts, uint64_t *receipts_bytes);
int aef_values_known(const aef_file *file); /* 0: codec "rans" and no decoder: framing alone was checked */

/* Packages. */
const uint8_t *aef_manifest(const aef_file *package, uint32_t *bytes); /* canonical msgpack */
int aef_computes(const aef_file *package);                             /* 1: profile "exact" */
uint64_t aef_work(const aef_file *package);                            /* what M7-1 counts */
/* Runs one row: in has the type and shape of the manifest's input.  latent and image are height and width, where sizes are free
 * (else NULL).  *bytes: room in out, then what it takes. */
aef_code aef_run(aef_file *package, const void *in, uint64_t in_bytes, const uint32_t *latent, const uint32_t *image, void *out,
                 uint64_t *bytes);
void aef_sha256(const void *data, uint64_t bytes, uint8_t digest[32]);

#ifdef __cplusplus
}
#endif
#endif /* AEF_H */

#ifdef AEF_IMPLEMENTATION
#include <stdlib.h>
#include <string.h>
#ifdef AEF_ZSTD
#include <zstd.h>
#endif
/* ---- bytes, checksums, digests ---- */
static uint32_t aef__u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t aef__u32(const uint8_t *p) { return aef__u16(p) | aef__u16(p + 2) << 16; }
static uint64_t aef__u64(const uint8_t *p) { return (uint64_t)aef__u32(p) | (uint64_t)aef__u32(p + 4) << 32; }
static int64_t aef__i32(const uint8_t *p) {
    uint32_t v = aef__u32(p); return v < 0x80000000u ? (int64_t)v : (int64_t)v - 0x100000000; }
static void aef__put32(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i & 255u); }
static int aef__byte(aef_type type, uint8_t v) { return type == AEF_I8 && v > 127 ? (int)v - 256 : (int)v; } /* u8 or i8 */
/* Sums and products that stop at 2^64 - 1 instead of wrapping. */
static uint64_t aef__mul(uint64_t a, uint64_t b) { return b && a > UINT64_MAX / b ? UINT64_MAX : a * b; }
static uint64_t aef__add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }
static uint64_t aef__ceil(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }
static int64_t aef__floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); } /* b > 0 */
static uint32_t aef__crc(uint32_t crc, const uint8_t *p, uint64_t n) { /* CRC-32 of zlib; begin with 0 */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344,
        0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc; while (n--) { crc ^= *p++; crc = crc >> 4 ^ table[crc & 15u]; crc = crc >> 4 ^ table[crc & 15u]; }
    return ~crc; }
typedef struct { uint32_t h[8]; uint64_t n; uint8_t block[64]; } aef__sha;
static void aef__sha_block(uint32_t *h, const uint8_t *p) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
        0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
        0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
        0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
        0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64], s[8];
#define AEF__ROT(x, n) ((x) >> (n) | (x) << (32 - (n)))
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (AEF__ROT(a, 7) ^ AEF__ROT(a, 18) ^ a >> 3);
        w[i] += w[i - 7] + (AEF__ROT(b, 17) ^ AEF__ROT(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t a = s[0], e = s[4];
        uint32_t t1 = s[7] + (AEF__ROT(e, 6) ^ AEF__ROT(e, 11) ^ AEF__ROT(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
        uint32_t t2 = (AEF__ROT(a, 2) ^ AEF__ROT(a, 13) ^ AEF__ROT(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s); s[4] += t1; s[0] = t1 + t2; }
#undef AEF__ROT
    for (int i = 0; i < 8; i++) h[i] += s[i]; }
static void aef__sha_begin(aef__sha *s) {
    static const uint32_t h[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                  0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    memcpy(s->h, h, sizeof h); s->n = 0; }
static void aef__sha_add(aef__sha *s, const uint8_t *p, uint64_t n) {
    while (n) {
        uint64_t have = s->n % 64, take = 64 - have < n ? 64 - have : n;
        if (take == 64) {
            aef__sha_block(s->h, p);
        } else {
            memcpy(s->block + have, p, (size_t)take); if (have + take == 64) aef__sha_block(s->h, s->block); }
        p += take, n -= take, s->n += take; } }
static void aef__sha_end(aef__sha *s, uint8_t *out) {
    uint64_t bits = s->n * 8;
    uint8_t tail[72] = {0x80};
    uint64_t pad = (119 - s->n % 64) % 64 + 1;
    for (int i = 0; i < 8; i++) tail[pad + (uint64_t)i] = (uint8_t)(bits >> (56 - 8 * i) & 255u);
    aef__sha_add(s, tail, pad + 8); for (int i = 0; i < 32; i++) out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)) & 255u); }
void aef_sha256(const void *data, uint64_t bytes, uint8_t digest[32]) {
    aef__sha s; aef__sha_begin(&s); aef__sha_add(&s, (const uint8_t *)data, bytes); aef__sha_end(&s, digest); }
/* ---- numbers ---- */
static const uint8_t aef__widths[9] = {8, 4, 2, 2, 1, 1, 2, 4, 4};
typedef struct { /* of a binary format */
    int exponent_bits, fraction_bits;
} aef__format;
static const aef__format aef__formats[4] = {{11, 52}, {8, 23}, {5, 10}, {8, 7}};
static double aef__of_bits(uint64_t bits) { double v; memcpy(&v, &bits, sizeof v); return v; }
static uint64_t aef__to_bits(double v) { uint64_t bits; memcpy(&bits, &v, sizeof bits); return bits; }
/* The bits of a binary64 with the value of a narrower float; *finite 0 for NaN and infinity. */
static uint64_t aef__widen_float(aef_type type, uint64_t bits, int *finite) {
    aef__format t = aef__formats[type];
    uint64_t top = ((uint64_t)1 << t.exponent_bits) - 1, sign = bits >> (t.exponent_bits + t.fraction_bits) & 1u;
    uint64_t exponent = bits >> t.fraction_bits & top, fraction = bits & (((uint64_t)1 << t.fraction_bits) - 1);
    *finite = exponent != top; if (type == AEF_F64) return bits;
    if (exponent == 0 && fraction == 0) return sign << 63;
    int64_t e = (int64_t)exponent + 1023 - (int64_t)(top / 2); fraction <<= 52 - t.fraction_bits;
    if (exponent == 0) for (e++; !(fraction >> 52); e--) fraction <<= 1;
    return sign << 63 | (uint64_t)e << 52 | (fraction & (((uint64_t)1 << 52) - 1)); }
/* The bits in a type of a finite binary64; 0 returned if it is not exactly there (C5-4). */
static int aef__narrow(aef_type type, uint64_t wide, uint64_t *bits) {
    uint64_t sign = wide >> 63, fraction = wide & (((uint64_t)1 << 52) - 1); int64_t e = (int64_t)(wide >> 52 & 2047u) - 1023;
    *bits = wide; if (type == AEF_F64) return 1;
    if (type > AEF_BF16) {
        double v = aef__of_bits(wide), lo = type == AEF_I8 ? -128 : 0, hi = type == AEF_I8 ? 127 : type == AEF_U8 ? 255 : 65535;
        if (v < lo || v > hi || wide == (uint64_t)1 << 63) return 0;
        int n = (int)v;
        *bits = (uint64_t)(uint32_t)n & (type == AEF_U16 ? 65535u : 255u); return aef__to_bits((double)n) == wide; }
    aef__format t = aef__formats[type]; int64_t most = ((int64_t)1 << (t.exponent_bits - 1)) - 1, shift = 52 - t.fraction_bits;
    *bits = sign << (t.exponent_bits + t.fraction_bits); if (e == -1023 && fraction == 0) return 1;
    if (e > most) return 0;
    fraction |= (uint64_t)1 << 52; if (e < 1 - most) shift += 1 - most - e;
    if (shift > 52 || fraction & (((uint64_t)1 << shift) - 1)) return 0;
    fraction >>= shift; /* with its leading one, if it is not subnormal: that adds 1 to the exponent */
    *bits |= fraction + (e < 1 - most ? 0 : (uint64_t)(e + most - 1) << t.fraction_bits); return 1; }
static uint64_t aef__load(aef_type type, const uint8_t *p) {
    switch (aef__widths[type]) {
    case 8: return aef__u64(p);
    case 4: return aef__u32(p);
    case 2: return aef__u16(p);
    default: return *p; } }
size_t aef_type_bytes(aef_type type) { return aef__widths[type]; }
double aef_number(aef_type type, const void *value) {
    int finite; const uint8_t *p = (const uint8_t *)value;
    if (type <= AEF_BF16) return aef__of_bits(aef__widen_float(type, aef__load(type, p), &finite));
    return type == AEF_U16 ? (double)aef__u16(p) : type >= AEF_I32 ? (double)aef__i32(p) : (double)aef__byte(type, *p); }
/* ---- text19 (container.md, section 5) ---- */
enum { AEF__LIMBS = 44 }; /* 2^1074 and 10^342, times 64 bits */
typedef struct { uint32_t limb[AEF__LIMBS]; } aef__big;
static void aef__big_set(aef__big *b, uint64_t v) {
    memset(b, 0, sizeof *b); b->limb[0] = (uint32_t)(v & 0xffffffffu), b->limb[1] = (uint32_t)(v >> 32); }
static void aef__big_times(aef__big *b, uint32_t m) {
    uint64_t carry = 0;
    for (int i = 0; i < AEF__LIMBS; i++) {
        carry += (uint64_t)b->limb[i] * m; b->limb[i] = (uint32_t)(carry & 0xffffffffu), carry >>= 32; } }
static void aef__big_scale(aef__big *b, int tens, int twos) { /* times 10^tens * 2^twos */
    for (; tens >= 9; tens -= 9) aef__big_times(b, 1000000000u);
    for (; tens > 0; tens--) aef__big_times(b, 10);
    for (; twos >= 31; twos -= 31) aef__big_times(b, 0x80000000u);
    if (twos > 0) aef__big_times(b, (uint32_t)1 << twos); }
static int aef__big_compare(const aef__big *a, const aef__big *b) {
    for (int i = AEF__LIMBS - 1; i >= 0; i--) if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0; }
static void aef__big_minus(aef__big *a, const aef__big *b) { /* a >= b */
    int64_t borrow = 0;
    for (int i = 0; i < AEF__LIMBS; i++) {
        borrow += (int64_t)a->limb[i] - (int64_t)b->limb[i];
        a->limb[i] = (uint32_t)(borrow & 0xffffffff), borrow = borrow < 0 ? -1 : 0; } }
/* Is digits * 10^k (10^18 <= digits < 10^19) the nearest decimal of 19 digits to a positive binary64?  0 if it is, -1 if the
 * number is too small for it, 1 if it is too large. */
static int aef__decimal_of(uint64_t bits, uint64_t digits, int k) {
    int q = (int)(bits >> 52 ? bits >> 52 : 1) - 1075, side; aef__big a, b, unit;
    aef__big_set(&a, (bits & (((uint64_t)1 << 52) - 1)) | (bits >> 52 ? (uint64_t)1 << 52 : 0)); aef__big_set(&b, digits);
    aef__big_set(&unit, 1); aef__big_scale(&a, -k, q); aef__big_scale(&b, k, -q); aef__big_scale(&unit, k, -q);
    side = aef__big_compare(&a, &b); if (side == 0) return 0;
    if (side > 0) aef__big_minus(&a, &b); else aef__big_minus(&b, &a), a = b;
    /* Below a power of ten decimals stand ten times as close. */
    aef__big_times(&a, side < 0 && digits == 1000000000000000000u ? 20 : 2); int c = aef__big_compare(&a, &unit);
    return c < 0 || (c == 0 && digits % 2 == 0) ? 0 : side; }
/* The binary64 of a cell that keeps the grammar: 0, or the rule it breaks (2: C5-2, 3: C5-3). */
static int aef__cell(const uint8_t *p, uint64_t *bits) {
    uint64_t digits = (uint64_t)(p[1] - '0'), sign = (uint64_t)(p[0] == '-') << 63;
    int e = (p[23] - '0') * 100 + (p[24] - '0') * 10 + (p[25] - '0'), moved = 0;
    for (int i = 3; i < 21; i++) digits = digits * 10 + (uint64_t)(p[i] - '0');
    if (p[22] == '-') e = -e;
    *bits = sign; if (digits == 0) return e || p[22] == '-' ? 2 : 0;
    for (; digits < 1000000000000000000u; moved = 1) digits *= 10, e--;
    if (e > 308 || (e == 308 && digits >= 1797693134862315808u)) return 3;
    if (moved || e < -324 || (e == 0 && p[22] == '-')) return 2;
    double guess = (double)digits, power = 10; /* a few units in the last place off */
    for (int left = e < 18 ? 18 - e : e - 18; left; left >>= 1, power = left ? power * power : power)
        if (left & 1) guess = e < 18 ? guess / power : guess * power;
    uint64_t v = aef__to_bits(guess), most = ((uint64_t)2047 << 52) - 1; if (v > most) v = most;
    if (v == 0) v = 1;
    for (int before = 0;;) {
        int side = aef__decimal_of(v, digits, e - 18); if (side == 0) break;
        if (side == -before || (side > 0 ? v == 1 : v == most)) return 2;
        v = side > 0 ? v - 1 : v + 1, before = side; }
    *bits = sign | v; return 0; }
/* The first of n cells' characters that breaks the grammar (C5-1), or n * 27. */
static uint64_t aef__grammar(const uint8_t *p, uint64_t n) {
    static const char form[] = "sd.ddddddddddddddddddesddd";
    for (uint64_t i = 0; i < n * 27; i++) {
        uint64_t j = i % 27; uint8_t c = p[i]; char f = j == 26 ? (i == n * 27 - 1 ? '\n' : ' ') : form[j];
        if (f == 's' ? c != '+' && c != '-' : f == 'd' ? c < '0' || c > '9' : c != (uint8_t)f) return i; }
    return n * 27; }
/* ---- canonical msgpack (section 3.1) ---- */
enum { AEF__INT, AEF__STR, AEF__BIN, AEF__BOOL, AEF__LIST, AEF__MAP, AEF__BAD };
typedef struct {
    int type; int shortest;
    int64_t value;     /* of an integer; kept within 2^53 by the walk */
    uint64_t n;        /* bytes or items */
    const uint8_t *p;  /* behind the first byte and the number or length field */
    const uint8_t *end; /* behind the token */
} aef__token;
/* One token of which have bytes are there, at least one.  0 if its number or length field is not all there. */
static int aef__take(const uint8_t *p, uint64_t have, aef__token *t) {
    uint32_t b = *p; uint64_t v = 0, field = 0; int is_signed = 0; t->shortest = 1, t->value = 0, t->n = 0;
    if (b < 0x80 || b >= 0xe0) t->type = AEF__INT, t->value = b < 0x80 ? (int64_t)b : (int64_t)b - 256;
    else if (b < 0x90) t->type = AEF__MAP, t->n = b & 15u; else if (b < 0xa0) t->type = AEF__LIST, t->n = b & 15u;
    else if (b < 0xc0) t->type = AEF__STR, t->n = b & 31u;
    else if (b == 0xc2 || b == 0xc3) t->type = AEF__BOOL, t->value = b & 1u;
    else if (b >= 0xc4 && b <= 0xc6) t->type = AEF__BIN, field = (uint64_t)1 << (b - 0xc4);
    else if (b >= 0xcc && b <= 0xcf) t->type = AEF__INT, field = (uint64_t)1 << (b - 0xcc);
    else if (b >= 0xd0 && b <= 0xd3) t->type = AEF__INT, field = (uint64_t)1 << (b - 0xd0), is_signed = 1;
    else if (b >= 0xd9 && b <= 0xdb) t->type = AEF__STR, field = (uint64_t)1 << (b - 0xd9);
    else if (b >= 0xdc) t->type = b < 0xde ? AEF__LIST : AEF__MAP, field = (uint64_t)2 << (b & 1u); else t->type = AEF__BAD;
    t->p = p + 1; if (field > have - 1) return 0;
    for (uint64_t i = 0; i < field; i++) v = v << 8 | *t->p++;
    if (field && t->type != AEF__INT) {
        t->n = v; uint64_t least = field == 4 ? 65536 : field == 2 ? 256 : t->type == AEF__STR ? 32 : 0;
        if (t->type >= AEF__LIST && field == 2) least = 16;
        t->shortest = v >= least;
    } else if (is_signed) { /* negative, and below what the next shorter form holds */
        uint64_t bits = 8 * field, low = field == 1 ? 32 : (uint64_t)1 << (bits / 2 - 1), size;
        size = bits == 64 ? ~v + 1 : ((uint64_t)1 << bits) - v; t->shortest = v >> (bits - 1) == 1 && size > low;
        t->value = size > (uint64_t)1 << 53 ? -((int64_t)1 << 53) : -(int64_t)size;
    } else if (field) {
        t->shortest = v >= (field == 1 ? 128 : (uint64_t)1 << (4 * field));
        t->value = v > (uint64_t)1 << 53 ? (int64_t)1 << 53 : (int64_t)v; }
    t->end = t->p; return 1; }
static int aef__utf8(const uint8_t *p, uint64_t n, int nul) { /* strict; nul: U+0000 is allowed */
    for (uint64_t i = 0; i < n;) {
        uint32_t b = p[i], more = b < 0x80 ? 0 : b >= 0xc2 && b < 0xe0 ? 1 : b >= 0xe0 && b < 0xf0 ? 2 : b >= 0xf0 &&
            b < 0xf5 ? 3 : 9;
        if ((b == 0 && !nul) || more == 9 || more >= n - i) return 0;
        for (uint32_t j = 1; j <= more; j++) if ((p[i + j] & 0xc0u) != 0x80) return 0;
        uint32_t c = more ? p[i + 1] : 0;
        if ((b == 0xe0 && c < 0xa0) || (b == 0xed && c > 0x9f) || (b == 0xf0 && c < 0x90) || (b == 0xf4 && c > 0x8f)) return 0;
        i += more + 1; }
    return 1; }
static int aef__compare(const uint8_t *a, uint64_t n, const uint8_t *b, uint64_t m) {
    int c = memcmp(a, b, (size_t)(n < m ? n : m)); return c ? c : n < m ? -1 : n > m; }
static const char *const aef__walk_rules[6] = {"", "C3-1", "C3-2", "C3-3", "C3-4", "C3-5"};
/* C3-1 to C3-5: 0, or the number of the rule and where it is broken. */
static int aef__walk(const uint8_t *p, uint64_t n, int most_deep, uint64_t *where) {
    struct {
        uint64_t left; const uint8_t *key; uint64_t key_n; int map;
    } stack[6];
    int depth = 0; uint64_t i = 0;
    *where = 0; if (n == 0 || !((p[0] & 0xf0u) == 0x80 || p[0] >= 0xde) || p[0] > 0xdf) return 1;
    do {
        aef__token t;
        *where = i; if (i >= n) return 1;
        int whole = aef__take(p + i, n - i, &t), is_text = t.type == AEF__STR || t.type == AEF__BIN;
        int key = depth && stack[depth - 1].map && stack[depth - 1].left % 2 == 0; if (t.type == AEF__BAD) return 2;
        if (!whole) return 1;
        if (!t.shortest) return 3;
        if (t.value >= (int64_t)1 << 53 || t.value <= -((int64_t)1 << 53)) return 2;
        if (key && t.type != AEF__STR) return 4;
        i = (uint64_t)(t.end - p); if (is_text && t.n > n - i) return 1;
        if (t.type == AEF__STR && !aef__utf8(t.p, t.n, 0)) return 2;
        if (key) {
            if (stack[depth - 1].key && aef__compare(t.p, t.n, stack[depth - 1].key, stack[depth - 1].key_n) <= 0) return 4;
            stack[depth - 1].key = t.p, stack[depth - 1].key_n = t.n; }
        if (is_text) i += t.n;
        if (depth) stack[depth - 1].left--;
        if (t.type >= AEF__LIST) {
            uint64_t items = t.type == AEF__MAP ? t.n * 2 : t.n; if (items > n - i) return 1;
            if (depth == most_deep) return 5;
            stack[depth].left = items, stack[depth].key = NULL, stack[depth].map = t.type == AEF__MAP; depth++; }
        while (depth && stack[depth - 1].left == 0) depth--;
    } while (depth);
    *where = i; return i == n ? 0 : 1; }
/* What follows reads maps that have passed the walk. */
static aef__token aef__at(const uint8_t *p) {
    aef__token t; (void)aef__take(p, UINT64_MAX, &t); if (t.type == AEF__STR || t.type == AEF__BIN) t.end = t.p + t.n; return t;
}
static const uint8_t *aef__skip(const uint8_t *p) {
    for (uint64_t left = 1; left; left--) {
        aef__token t = aef__at(p); p = t.end; if (t.type >= AEF__LIST) left += t.type == AEF__MAP ? 2 * t.n : t.n; }
    return p; }
static int aef__is(const uint8_t *p, const char *text) { /* NULL is no text */
    if (!p) return 0;
    aef__token t = aef__at(p); return t.type == AEF__STR && t.n == strlen(text) && !memcmp(t.p, text, (size_t)t.n); }
static const uint8_t *aef__get(const uint8_t *map, const char *key) {
    aef__token t = aef__at(map); const uint8_t *p = t.p;
    for (uint64_t i = 0; i < t.n; i++) {
        const uint8_t *value = aef__skip(p); if (aef__is(p, key)) return value;
        p = aef__skip(value); }
    return NULL; }
static int aef__is_type(const uint8_t *p, int type) { return p && aef__at(p).type == type; }
static int aef__is_id(const uint8_t *p) { return aef__is_type(p, AEF__BIN) && aef__at(p).n == 32; }
static int aef__id_if_any(const uint8_t *p) { return !p || aef__is_id(p); }
static int aef__whole(const uint8_t *p, int64_t lo, int64_t hi, int64_t *out) {
    if (!aef__is_type(p, AEF__INT)) return 0;
    *out = aef__at(p).value; return *out >= lo && *out <= hi; }
/* A list of lo..hi items that are integers from least to most. */
static int aef__whole_list(const uint8_t *p, uint64_t lo, uint64_t hi, int64_t least, int64_t most, int64_t *out, uint64_t *n) {
    if (!aef__is_type(p, AEF__LIST)) return 0;
    aef__token t = aef__at(p); if (t.n < lo || t.n > hi) return 0;
    for (uint64_t i = 0; i < t.n; i++, t.p = aef__skip(t.p)) if (!aef__whole(t.p, least, most, out + i)) return 0;
    *n = t.n; return 1; }
/* The next word of a list of words with a space between; 0 at its end. */
static int aef__word(const char **list, char word[24]) {
    size_t n = 0; while (**list == ' ') ++*list; for (; **list && **list != ' ' && n < 23; ++*list) word[n++] = **list;
    word[n] = 0; return n > 0; }
static int aef__has_all(const uint8_t *map, const char *words) {
    char word[24]; while (aef__word(&words, word)) if (!aef__get(map, word)) return 0; return 1; }
static int aef__has_only(const uint8_t *map, const char *words) {
    aef__token t = aef__at(map);
    for (uint64_t i = 0; i < t.n; i++, t.p = aef__skip(aef__skip(t.p))) {
        const char *list = words; char word[24]; int known = 0;
        while (!known && aef__word(&list, word)) known = aef__is(t.p, word);
        if (!known) return 0; }
    return 1; }
/* ---- what a file is ---- */
typedef union aef__memory { /* stands in front of each piece of memory */
    struct {
        union aef__memory *before, *after; uint64_t bytes;
    } is; double align_double; uint8_t align[32];
} aef__memory;
typedef struct { int type, used; uint64_t axes, count, bytes; int64_t shape[8]; const uint8_t *sha, *data; } aef__tensor;
enum { /* where a layer's keys stand in its numbers */
    AEF__WEIGHTS, AEF__BIAS, AEF__MULTIPLIER, AEF__TABLE, AEF__STRIDES, AEF__SIZE = 6, AEF__BORDER = 8, AEF__NUM = 12, AEF__DEN,
    AEF__SHIFT, AEF__AXIS, AEF__VALUE, AEF__START, AEF__STOP, AEF__SHAPE, AEF__NUMBERS = 27
};
typedef struct {
    int kind, n_in; uint16_t in[64]; int64_t a[AEF__NUMBERS];
    uint64_t axes; /* of shape */
    uint64_t macs; /* multiply-adds for one position of a grid, or in all (M7-1) */
    void *weights; /* once they are prepared: float, or double if the bound is 2^24 or more; rows of a multiple of 16 */
    int wide; int32_t *multiplier;
} aef__layer;
typedef struct {
    int type, grid; /* grid: -1 the full one, or a phase (model.md, section 10.1) */
    uint64_t axes, n; int64_t shape[8]; int has_range; int64_t lo, hi; uint64_t bound;
    uint64_t after; /* what it depends on: 4 g + k, k > 0, at most */
    uint64_t last_use;
} aef__value;
typedef struct { /* the network, or the layers of passes */
    uint64_t n, given; /* layers; values that are there before */
    int exact; aef__layer *layer; aef__value *value;
} aef__net;
typedef struct { int type; uint64_t axes; int64_t shape[8], lo, hi; } aef__end;
typedef struct { uint64_t at, payload, stored, raw, first_row, number; uint32_t n_rows; uint8_t tag[5]; int known; } aef__chunk;
typedef struct { /* a ROWS with what stands before it; n_rows 0 until a seeking reader has looked */
    aef__chunk rows, names, receipts, sizes, fields; uint64_t at, first_row, number; int counted;
} aef__block;
typedef struct { uint64_t block; const uint8_t *p; void *memory; } aef__kept; /* a payload; block: the number of its ROWS + 1 */
struct aef_file {
    aef_options opt; aef_error err; aef__memory *memory; uint64_t used; const uint8_t *data; uint64_t len, pos;
    uint32_t flags, header_len, header_crc; const uint8_t *header;
    int model, codec, shuffle, encoding, values, padded, unknown;
    /* latents */
    uint64_t axes, n_free, n_free_dims, row_values, width; int64_t dims[8], image[4]; int has_image, free_image;
    const uint8_t *decoder_id; aef_file *decoder; int own_decoder, ready; aef__chunk inside;
    /* chunks */
    uint64_t n_chunks, rows, index_at, n_blocks, room_blocks, steps, trailer_at; uint32_t chain;
    aef__block *blocks, next;
    int had_decoder, had_index, had_rows, receipts, fields; /* the last two: -1 not known yet, 0 or 1 */
    aef__sha content; uint64_t cached; const uint8_t *cache; void *cache_memory;
    aef__kept names, columns; uint8_t *head; uint64_t head_len, proved_from, proved_to; /* head: of fields */
    /* a package */
    const uint8_t *manifest; uint64_t manifest_at, manifest_len, n_tensors, n_got, work, scale[2];
    aef__tensor *tensors; aef__net net[2]; int decodes, exact, is_free, has_prior, passes; aef__end input, output;
    uint64_t n_golden; int64_t golden[8][2];
    int64_t bits, prior[4]; /* tensors: classes, means, picks, tables */
    uint64_t groups, outputs_n; int64_t *group, *outputs; uint32_t *cum_classes, *cum_tables;
    uint64_t n_classes, n_tables, n_symbols;
};
static int aef__fail_in(aef_file *f, aef_code code, const char *rule, uint64_t at, int inside) {
    f->err.code = code, f->err.rule = rule, f->err.at = at, f->err.inside = inside;
    return 0; /* in what follows 1 is success, 0 or NULL a failure that err tells */
}
static int aef__fail(aef_file *f, aef_code code, const char *rule, uint64_t at) { return aef__fail_in(f, code, rule, at, 0); }
static int aef__misfit(aef_file *f, const char *rule, uint64_t at) { return aef__fail(f, AEF_STRUCTURE, rule, at); }
static void *aef__new(aef_file *f, uint64_t n, uint64_t size) { /* zeroed; at least one byte */
    uint64_t bytes = aef__add(aef__mul(n, size), sizeof(aef__memory)); aef__memory *m = NULL;
    if (bytes <= f->opt.max_bytes - f->used && bytes <= SIZE_MAX) m = (aef__memory *)f->opt.alloc(f->opt.user, (size_t)bytes);
    if (!m) { (void)aef__fail(f, AEF_LIMIT, "", f->pos); return NULL; }
    memset(m, 0, (size_t)bytes); m->is.bytes = bytes, m->is.after = f->memory; if (f->memory) f->memory->is.before = m;
    f->memory = m, f->used += bytes; return m + 1; }
static void aef__drop(aef_file *f, const void *p) {
    if (!p) return;
    aef__memory *m = (aef__memory *)(uintptr_t)p - 1;
    if (m->is.before) m->is.before->is.after = m->is.after; else f->memory = m->is.after;
    if (m->is.after) m->is.after->is.before = m->is.before;
    f->used -= m->is.bytes; f->opt.release(f->opt.user, m); }
/* ---- preamble and header (sections 2 and 3) ---- */
static const struct {
    const char *name;
    int width, own, allowed; /* allowed: a bit for each type of values */
} aef__encodings[8] = {
    {"text19", 27, AEF_F64, 0x7f}, {"f64le", 8, AEF_F64, 0x7f},   {"f32le", 4, AEF_F32, 0x7e}, {"f16le", 2, AEF_F16, 0x34},
    {"bf16le", 2, AEF_BF16, 0x38}, {"u8", 1, AEF_U8, 1 << AEF_U8}, {"i8", 1, AEF_I8, 1 << AEF_I8}, {"u16le", 2, AEF_U16, 0x50}};
static const char *const aef__type_names[9] = {"f64", "f32", "f16", "bf16", "u8", "i8", "u16", "i32", "acc"};
static const char *const aef__codecs[3] = {"none", "zstd", "rans"};
static int aef__type(const uint8_t *p) { /* -1: none */
    for (int i = 0; i <= AEF_I32; i++) if (aef__is(p, aef__type_names[i])) return i;
    return -1; }
static int aef__is_text(const uint8_t *p, uint64_t n) { /* section 3.3 */
    for (uint64_t i = 0; i < n; i++) if (p[i] < 32 || p[i] == 127) return 0;
    return n >= 1 && n <= 1024; }
/* Number i of a list of binary64 in a binary string; a list that is not there has none. */
static uint64_t aef__numbers(const uint8_t *p) { return p ? aef__at(p).n / 8 : 0; }
static uint64_t aef__bits_of(const uint8_t *p, uint64_t i) { return aef__u64(aef__at(p).p + 8 * i); }
static int aef__described(aef_file *f, const uint8_t *d) { /* C3-21 to C3-26 */
    static const char *const names[6][2] = {{"colour", "srgb bgr grey"}, {"crop", "none center random bucket"},
        {"kind", "mean sample"}, {"resize", "none fit cover stretch"},
        {"resize_filter", "nearest box bilinear hamming bicubic lanczos"}, {"value_range", "-1..1 0..1 0..255"}};
    static const char *const lists[3] = {"scale", "shift", "step"};
    const uint8_t *axis = aef__get(d, "axis"), *size = aef__get(d, "size"), *seed = aef__get(d, "seed"), *v[6], *list[3];
    const uint8_t *software = aef__get(d, "software"), *id = aef__get(d, "foreign_encoder");
    int64_t along = 0, sizes[2]; uint64_t n; int ok = 1, known = 1, other[6] = {0}, many = 0;
    if (aef__at(d).n == 0) return aef__fail(f, AEF_HEADER, "C3-21", 24);
    if (!aef__has_only(d, "axis colour crop foreign_encoder kind resize resize_filter scale seed shift size software step "
                          "value_range")) return aef__fail(f, AEF_UNSUPPORTED, "C3-21", 24);
    for (int i = 0; ok && i < 6; i++) {
        if (!(v[i] = aef__get(d, names[i][0]))) continue;
        aef__token t = aef__at(v[i]); const char *words = names[i][1]; char word[24]; int found = 0;
        ok = t.type == AEF__STR; other[i] = ok && t.n >= 7 && !memcmp(t.p, "other: ", 7);
        while (aef__word(&words, word)) found |= aef__is(v[i], word);
        if (other[i]) ok = aef__is_text(t.p + 7, t.n - 7); else known &= found; }
    for (int i = 0; ok && i < 3; i++) {
        if (!(list[i] = aef__get(d, lists[i]))) continue;
        aef__token t = aef__at(list[i]); ok = t.type == AEF__BIN && t.n % 8 == 0 && t.n >= 8 && t.n <= 16384; }
    ok = ok && (!axis || aef__whole(axis, 0, 7, &along)) && (!size || aef__whole_list(size, 2, 2, 1, 65535, sizes, &n)) &&
         (!seed || aef__whole(seed, 0, ((int64_t)1 << 53) - 1, sizes)) && aef__id_if_any(id) &&
         (!software || (aef__is_type(software, AEF__STR) && aef__is_text(aef__at(software).p, aef__at(software).n)));
    if (!ok) return aef__fail(f, AEF_HEADER, "C3-22", 24);
    if (!known) return aef__fail(f, AEF_UNSUPPORTED, "C3-23", 24);
    for (int i = 0; i < 3; i++)
        for (uint64_t j = 0; j < aef__numbers(list[i]); j++) {
            uint64_t bits = aef__bits_of(list[i], j);
            if ((bits >> 52 & 2047u) == 2047 || bits == (uint64_t)1 << 63 || (i != 1 && bits == 0) || (i == 2 && bits >> 63))
                return aef__fail(f, AEF_HEADER, "C3-24", 24); }
    for (int i = 0; i < 3; i++) {
        uint64_t count = aef__numbers(list[i]), same = 1;
        for (uint64_t j = 1; j < count; j++) same += aef__bits_of(list[i], j) == aef__bits_of(list[i], 0);
        if (count == 1 && i < 2 && aef__bits_of(list[i], 0) == (i ? 0 : (uint64_t)1023 << 52)) ok = 0;
        if (count < 2) continue;
        many = 1; ok = ok && same < count && axis && along < (int64_t)f->axes && (uint64_t)f->dims[along] == count; }
    if (!ok || many != (axis != NULL)) return aef__fail(f, AEF_HEADER, "C3-25", 24);
    int drawn = other[1] || other[2] || (v[1] && aef__is(v[1], "random")) || (v[2] && aef__is(v[2], "sample"));
    if (((list[0] || list[1]) && !(f->flags & 2u)) || (id && aef__get(f->header, "encoder")) || (seed && !drawn) ||
        (v[4] && (!v[3] || aef__is(v[3], "none")))) return aef__fail(f, AEF_HEADER, "C3-26", 24);
    return 1; }
static int aef__read_header(aef_file *f) {
    const uint8_t *h = f->header, *v; uint64_t n = 0, where, unit = 1;
    int is_free = f->flags & 1u, nameless = f->flags >> 1 & 1u, ok = 1;
    int rule = aef__walk(h, f->header_len, 4, &where);
    if (rule) return aef__fail(f, AEF_HEADER, aef__walk_rules[rule], 24 + where);
    const uint8_t *kind = aef__get(h, "kind"), *codec = aef__get(h, "codec"), *filter = aef__get(h, "filter");
    const uint8_t *encoding = aef__get(h, "encoding"), *order = aef__get(h, "byte_order"), *values = aef__get(h, "values");
    if (!aef__is_type(kind, AEF__STR)) return aef__fail(f, AEF_HEADER, "C3-6", 24);
    f->model = aef__is(kind, "model");
    if (!f->model && !aef__is(kind, "latents")) return aef__fail(f, AEF_UNSUPPORTED, "C3-6", 24);
    const char *must = f->model ? "byte_order codec kind model" : nameless ? "byte_order codec dims encoding kind"
                                                                          : "byte_order codec decoder dims encoding image kind";
    const uint8_t *described = aef__get(h, "described"), *foreign = aef__get(h, "foreign_decoder");
    if (!aef__has_all(h, must) || (!f->model && f->flags & 16u && !described)) return aef__fail(f, AEF_HEADER, "C3-7", 24);
    if (!aef__has_only(h, f->model ? "byte_order codec ext filter kind model"
                                   : "byte_order codec decoder described dims encoder encoding ext filter foreign_decoder "
                                     "image kind values") || (described && !(f->flags & 16u)) || (foreign && !nameless))
        return aef__fail(f, AEF_UNSUPPORTED, "C3-7", 24);
    v = aef__get(h, "ext");
    ok = (!described || aef__is_type(described, AEF__MAP)) && aef__id_if_any(foreign) &&
         aef__is_type(order, AEF__STR) && aef__is_type(codec, AEF__STR) && (!filter || aef__is_type(filter, AEF__STR)) &&
         (!v || aef__is_type(v, AEF__MAP));
    if (f->model) ok = ok && aef__is_id(aef__get(h, "model"));
    else {
        int64_t least = is_free ? 0 : 1; f->decoder_id = aef__get(h, "decoder");
        ok = ok && aef__is_type(encoding, AEF__STR) && (!values || aef__is_type(values, AEF__STR));
        ok = ok && aef__id_if_any(f->decoder_id) && aef__id_if_any(aef__get(h, "encoder"));
        ok = ok && aef__whole_list(aef__get(h, "dims"), 1, 8, least, 0x7fffffff, f->dims, &f->axes); v = aef__get(h, "image");
        f->has_image = v != NULL;
        if (ok && v) {
            aef__token t = aef__at(v); ok = t.type == AEF__LIST && t.n == 4;
            for (int i = 0; ok && i < 3; i++, t.p = aef__skip(t.p)) ok = aef__whole(t.p, i < 2 ? least : 1, 65535,
                f->image + i);
            ok = ok && aef__is(t.p, "u8"); } }
    if (!ok) return aef__fail(f, AEF_HEADER, "C3-8", 24);
    for (f->codec = 0; f->codec < 3 && !aef__is(codec, aef__codecs[f->codec]);) f->codec++;
    for (f->encoding = 0; !f->model && f->encoding < 8 && !aef__is(encoding, aef__encodings[f->encoding].name);) f->encoding++;
    f->shuffle = aef__is(filter, "shuffle");
    if (f->codec > 2 || f->encoding > 7 || (filter && !f->shuffle && !aef__is(filter, "none")))
        return aef__fail(f, AEF_UNSUPPORTED, "C3-9", 24);
    int own = aef__encodings[f->encoding].own; f->width = (uint64_t)aef__encodings[f->encoding].width;
    int ordered = f->model || (f->encoding > 0 && f->width > 1);
    if (!aef__is(order, ordered ? "little" : "none")) return aef__fail(f, AEF_HEADER, "C3-10", 24);
    if ((f->codec == 1) != (filter != NULL)) return aef__fail(f, AEF_HEADER, "C3-11", 24);
    f->padded = f->codec == 0 && ordered; f->values = values ? aef__type(values) : own;
    if (values && (f->values < 0 || f->values == own || !(aef__encodings[f->encoding].allowed >> f->values & 1)))
        return aef__fail(f, AEF_HEADER, "C3-12", 24);
    for (uint64_t i = 0; i < f->axes; i++) {
        n += f->dims[i] == 0; unit = aef__mul(unit, f->dims[i] ? (uint64_t)f->dims[i] : 1); }
    f->row_values = unit, f->n_free_dims = n; f->free_image = f->has_image && f->image[0] == 0;
    f->n_free = n + (f->free_image ? 2 : 0);
    if (!f->model && aef__mul(unit, f->width) > 268435456) return aef__fail(f, AEF_LIMIT, "C3-13", 24);
    if (f->codec == 2 && (f->model || own < AEF_U8 || own > AEF_I8)) return aef__fail(f, AEF_HEADER, "C3-15", 24);
    if (f->flags & 4u && !f->model) return aef__fail(f, AEF_HEADER, "C3-17", 24);
    if (is_free && (f->model || n == 0 || (f->has_image && (f->image[0] == 0) != (f->image[1] == 0))))
        return aef__fail(f, AEF_HEADER, "C3-17", 24);
    if (is_free && f->codec == 2 && !(f->axes == 3 && f->dims[0] == 0 && f->dims[1] == 0 && f->dims[2] && (!f->has_image ||
        f->free_image))) return aef__fail(f, AEF_HEADER, "C3-18", 24);
    if (nameless && (f->model || f->decoder_id || f->codec == 2)) return aef__fail(f, AEF_HEADER, "C3-19", 24);
    if (f->decoder_id) f->decoder_id = aef__at(f->decoder_id).p;
    if (f->flags & 16u && f->model) return aef__fail(f, AEF_HEADER, "C3-20", 24);
    return !described || aef__described(f, described); }
static int aef__read_preamble(aef_file *f) {
    static const uint8_t magic[8] = {0x89, 0x41, 0x45, 0x46, 0x0d, 0x0a, 0x1a, 0x0a};
    const uint8_t *p = f->data;
    if (memcmp(p, magic, f->len < 8 ? (size_t)f->len : 8)) return aef__fail(f, AEF_NOT_AEF, "C2-1", 0);
    if (f->len < 24) return aef__fail(f, AEF_TRUNCATED, "C2-7", f->len);
    if (p[8] != 1) return aef__fail(f, AEF_UNSUPPORTED, "C2-2", 8);
    if (aef__u32(p + 20) != aef__crc(0, p, 20)) return aef__fail(f, AEF_CHECKSUM, "C2-3", 20);
    f->flags = aef__u16(p + 10), f->header_len = aef__u32(p + 12), f->header_crc = aef__u32(p + 16);
    if (f->flags & ~0x17u || (f->flags && p[9] == 0)) return aef__fail(f, AEF_UNSUPPORTED, "C2-4", 10);
    if (f->header_len < 1 || f->header_len > 65536) return aef__fail(f, AEF_LIMIT, "C2-5", 12);
    if (f->header_len > f->len - 24) return aef__fail(f, AEF_TRUNCATED, "C2-7", f->len);
    if (aef__crc(0, p + 24, f->header_len) != f->header_crc) return aef__fail(f, AEF_CHECKSUM, "C2-6", 24);
    f->header = p + 24, f->pos = 24 + (uint64_t)f->header_len; return aef__read_header(f); }
/* ---- compressed payloads (section 6) ---- */
/* The zstd frame in n bytes, into out: 0, the number of the rule of section 6 that it breaks, or 7: zstd is not built in. */
static int aef__zstd(const uint8_t *p, uint64_t n, uint8_t *out, uint64_t raw) {
    static const uint8_t id_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    if (n < 5 || aef__u32(p) != 0xfd2fb528u) return 1;
    uint32_t d = p[4], single = d >> 5 & 1u, id = id_bytes[d & 3u], sized = d >> 6 || single;
    uint64_t size = d >> 6 ? size_bytes[d >> 6] : single, at = 6 - single, content = 0, window = 0;
    if (d & 8u || n < at + id + size) return 1;
    if (!single) { window = (uint64_t)1 << (10 + (p[5] >> 3)); window += window / 8 * (p[5] & 7u); }
    uint32_t dictionary = 0; for (uint32_t i = 0; i < id; i++) dictionary |= p[at + i];
    at += id; for (uint64_t i = 0; i < size; i++) content |= (uint64_t)p[at + i] << 8 * i;
    if (size == 2) content += 256;
    at += size; if (!sized || content != raw) return 2;
    if (!(d & 4u)) return 3;
    if (dictionary) return 4;
    if (single) window = content;
    if (window > 8388608) return 5;
    for (uint32_t last = 0; !last;) {
        if (n - at < 3) return 6;
        uint32_t block = aef__u16(p + at) | (uint32_t)p[at + 2] << 16, kind = block >> 1 & 3u; uint64_t bytes = block >> 3;
        last = block & 1u; if (kind == 3 || bytes > (window < 131072 ? window : 131072)) return 6;
        at += 3; if (kind == 1) bytes = 1;
        if (bytes > n - at) return 6;
        at += bytes; }
    if (n - at != 4) return 6;
#ifdef AEF_ZSTD
    return ZSTD_decompress(out, (size_t)raw, p, (size_t)n) == raw ? 0 : 6;
#else
    (void)out; return 7;
#endif
}
/* The raw bytes of a payload: in the file where they are stored, else new memory, which *fresh names.  w: bytes of a value. */
static const uint8_t *aef__payload(aef_file *f, const aef__chunk *c, uint64_t w, void **fresh) {
    static const char *const rules[7] = {"", "C6-1", "C6-2", "C6-3", "C6-4", "C6-5", "C6-6"};
    *fresh = NULL; if (c->stored == c->raw) return f->data + c->payload;
    uint8_t *out = (uint8_t *)(*fresh = aef__new(f, c->raw, 1)); if (!out) return NULL;
    int rule = aef__zstd(f->data + c->payload, c->stored, out, c->raw);
    if (rule) {
        (void)aef__fail(f, rule == 7 ? AEF_UNSUPPORTED : AEF_COMPRESSION, rule == 7 ? "" : rules[rule], c->payload);
    } else if (f->shuffle && w > 1 && f->codec == 1) {
        uint8_t *plain = (uint8_t *)aef__new(f, c->raw, 1);
        for (uint64_t i = 0, n = c->raw / w; plain && i < n * w; i++) plain[i % n * w + i / n] = out[i];
        aef__drop(f, out);
        *fresh = out = plain; if (!plain) return NULL; }
    if (!rule) return out;
    aef__drop(f, out);
    *fresh = NULL; return NULL; }
typedef struct { uint32_t x[1024], lanes, bits; const uint8_t *word, *end; int short_of_words; } aef__rans;
/* One symbol, by the n + 1 sums of its frequencies. */
static uint32_t aef__symbol(aef__rans *r, uint64_t lane, const uint32_t *cum, uint32_t n) {
    uint32_t x = r->x[lane], slot = x & (((uint32_t)1 << r->bits) - 1), s = 0;
    for (uint32_t top = n; top - s > 1;) {
        uint32_t middle = s + (top - s) / 2; if (cum[middle] <= slot) s = middle; else top = middle; }
    x = (cum[s + 1] - cum[s]) * (x >> r->bits) + slot - cum[s];
    if (x < 65536) {
        if (r->word == r->end) { r->short_of_words = 1; return s; }
        x = x << 16 | aef__u16(r->word); r->word += 2; }
    r->x[lane] = x; return s; }
static uint64_t aef__entries(const aef_file *f, const aef__block *b) { /* 1 where rows have no sizes of their own */
    return b->sizes.known ? b->sizes.raw / (4 + 4 * f->n_free) : 1; }
/* Entry i: *n rows of so many values; dims (8) and image (3) may be NULL. */
static uint64_t aef__entry(const aef_file *f, const aef__block *b, uint64_t i, uint64_t *n, uint32_t *dims, uint32_t *image) {
    uint64_t values = 1, k = 0; const uint8_t *p = b->sizes.known ? f->data + b->sizes.payload + i * (4 + 4 * f->n_free) : NULL;
    *n = p ? aef__u32(p) : b->rows.n_rows;
    for (uint64_t j = 0; j < f->axes; j++) {
        uint32_t size = f->dims[j] || !p ? (uint32_t)f->dims[j] : aef__u32(p + 4 + 4 * k++); values = aef__mul(values, size);
        if (dims) dims[j] = size; }
    for (uint64_t j = 0; image && j < 3; j++) image[j] = j < 2 && f->free_image &&
        p ? aef__u32(p + 4 + 4 * (k + j)) : (uint32_t)f->image[j];
    return values; }
static int aef__decode_passes(aef_file *m, aef__rans *r, uint64_t h, uint64_t w, uint8_t *out, int *needless);
static uint64_t aef__pass_units(const aef_file *m, uint64_t h, uint64_t w, uint64_t lanes, int *too_many);
/* Codec "rans": the rows of a block into out.  Without a decoder what can be checked is checked, and out stays as it is. */
static int aef__unrans(aef_file *f, aef__block *b, uint8_t *out) {
    aef_file *m = f->decoder; const uint8_t *p = f->data + b->rows.payload;
    uint64_t at = b->rows.payload, steps = 0, values = 0, units = 0, n, lanes = (uint64_t)1 << (p[0] & 15u),
        rows = b->rows.n_rows;
    int passes = f->flags & 1u, too_many = 0, needless = 0; uint32_t dims[8]; aef__rans *r = NULL;
    for (uint64_t i = 0; i < aef__entries(f, b); i++) {
        uint64_t v = aef__entry(f, b, i, &n, dims, NULL); values += v * n;
        if (passes && m && p[0] <= 10) units = aef__add(units, aef__mul(n, aef__pass_units(m, dims[0], dims[1], lanes,
            &too_many)));
    }
    if (p[0] > 10 || lanes > (passes ? values : rows)) return aef__fail(f, AEF_COMPRESSION, "C6-7", at);
    if (!passes) steps = aef__mul(aef__ceil(rows, lanes), f->row_values + 1); else if (m) steps = aef__ceil(units, 4096);
    if (!b->counted) f->steps = aef__add(f->steps, steps);
    b->counted = 1;
    if (too_many || steps > 1048576 || f->steps > 1048576 + 16 * (f->opt.seek ? f->len : at + b->rows.stored))
        return aef__fail(f, AEF_LIMIT, "C6-8", at);
    if (b->rows.stored < 1 + 4 * lanes || b->rows.stored % 2 == 0) return aef__fail(f, AEF_COMPRESSION, "C6-9", at);
    for (uint64_t i = 0; i < lanes; i++) if (aef__u32(p + 1 + 4 * i) < 65536) return aef__fail(f, AEF_COMPRESSION, "C6-10", at);
    if (!m) { f->unknown = 1; return 1; }
    if (!(r = (aef__rans *)aef__new(f, 1, sizeof *r))) return 0;
    r->bits = (uint32_t)m->bits, r->lanes = (uint32_t)lanes, r->word = p + 1 + 4 * lanes, r->end = p + b->rows.stored;
    for (uint64_t i = 0; i < lanes; i++) r->x[i] = aef__u32(p + 1 + 4 * i);
    int64_t lo = m->input.lo, size = m->input.hi - lo + 1;
    if (passes) {
        for (uint64_t i = 0; i < aef__entries(f, b) && !r->short_of_words; i++) {
            uint64_t v = aef__entry(f, b, i, &n, dims, NULL);
            for (uint64_t j = 0; j < n && !r->short_of_words; j++, out += v)
                if (!aef__decode_passes(m, r, dims[0], dims[1], out, &needless)) {
                    f->err = m->err, m->err.code = AEF_OK, f->err.at = at; aef__drop(f, r); return 0; } }
    } else {
        const uint8_t *means = m->tensors[m->prior[1]].data, *picks = m->tensors[m->prior[2]].data; uint32_t classes[1024];
        for (uint64_t row = 0; row < rows && !r->short_of_words; row += lanes) {
            uint64_t some = rows - row < lanes ? rows - row : lanes;
            for (uint64_t i = 0; i < some; i++) classes[i] = aef__symbol(r, i, m->cum_classes, (uint32_t)m->n_classes);
            for (uint64_t d = 0; d < f->row_values && !r->short_of_words; d++)
                for (uint64_t i = 0; i < some; i++) {
                    uint64_t place = classes[i] * f->row_values + d;
                    int64_t s = aef__symbol(r, i, m->cum_tables + picks[place] * (m->n_symbols + 1), (uint32_t)m->n_symbols);
                    out[(row + i) * f->row_values + d] = (uint8_t)((uint64_t)(lo + (s + means[place]) % size) & 255u); } } }
    const char *rule = r->short_of_words || r->word != r->end ? "C6-11" : NULL;
    for (uint64_t i = 0; !rule && i < lanes; i++) if (r->x[i] != 65536) rule = "C6-12";
    if (!rule && needless) rule = "C6-13";
    aef__drop(f, r); return rule ? aef__fail(f, AEF_COMPRESSION, rule, at) : 1; }
/* ---- rows (section 5) ---- */
static uint64_t aef__value_at(const aef_file *f, const aef__block *b, uint64_t i) { /* the byte for an error of value i */
    return b->rows.payload + (b->rows.stored == b->rows.raw ? i * f->width : 0); }
/* Checks n values of raw bytes by C5-1 to C5-4 and writes them to out in the type of the header. */
static int aef__convert(aef_file *f, const aef__block *b, const uint8_t *raw, uint8_t *out) {
    uint64_t bad3 = UINT64_MAX, bad4 = UINT64_MAX, total = b->rows.raw / f->width, w = aef__widths[f->values], n, at = 0, bits;
    aef_type own = (aef_type)aef__encodings[f->encoding].own, to = (aef_type)f->values;
    for (uint64_t i = 0; f->encoding == 0 && i < aef__entries(f, b); i++) {
        uint64_t values = aef__entry(f, b, i, &n, NULL, NULL);
        for (uint64_t row = 0; row < n; row++, at += values) {
            uint64_t bad = aef__grammar(raw + at * 27, values), seen = b->rows.stored == b->rows.raw;
            if (bad < values * 27) return aef__fail(f, AEF_VALUE, "C5-1", aef__value_at(f, b, at) + (seen ? bad : 0)); } }
    for (uint64_t i = 0; i < total; i++, raw += f->width) {
        int finite = 1;
        if (f->encoding == 0) {
            int rule = aef__cell(raw, &bits); if (rule == 2) return aef__fail(f, AEF_VALUE, "C5-2", aef__value_at(f, b, i));
            finite = rule == 0;
        } else if (own <= AEF_BF16) bits = aef__widen_float(own, aef__load(own, raw), &finite);
        else bits = aef__to_bits(aef_number(own, raw));
        if (!finite) {
            if (bad3 == UINT64_MAX) bad3 = i;
        } else if (!aef__narrow(to, bits, &bits)) {
            if (bad4 == UINT64_MAX) bad4 = i;
        } else if (out) {
            for (uint64_t j = 0; j < w; j++) *out++ = (uint8_t)(bits >> 8 * j & 255u); } }
    if (bad3 != UINT64_MAX) return aef__fail(f, AEF_VALUE, "C5-3", aef__value_at(f, b, bad3));
    return bad4 == UINT64_MAX ? 1 : aef__fail(f, AEF_VALUE, "C5-4", aef__value_at(f, b, bad4)); }
/* The values of a block, kept until another one is asked for.  NULL: err tells, or they are not known (f->unknown). */
static const uint8_t *aef__block_values(aef_file *f, uint64_t number, aef__block *b) {
    void *fresh = NULL; const uint8_t *raw; int same = f->encoding && aef__encodings[f->encoding].own == f->values;
    if (f->cache && f->cached == number) return f->cache;
    aef__drop(f, f->cache_memory); f->cache = NULL, f->cache_memory = NULL;
    if (f->codec == 2 && b->rows.stored < b->rows.raw) {
        if (!(fresh = aef__new(f, b->rows.raw, 1))) return NULL;
        raw = (const uint8_t *)fresh; if (!aef__unrans(f, b, (uint8_t *)fresh) || !f->decoder) raw = NULL;
    } else raw = aef__payload(f, &b->rows, f->encoding ? f->width : 1, &fresh);
    uint8_t *out = NULL; int ok = raw != NULL;
    if (ok && !same) ok = (out = (uint8_t *)aef__new(f, b->rows.raw / f->width, aef__widths[f->values])) != NULL;
    if (ok) ok = (same && f->values >= AEF_U8) || aef__convert(f, b, raw, out);
    if (!ok || out) aef__drop(f, fresh), fresh = NULL;
    if (!ok) { aef__drop(f, out); return NULL; }
    f->cached = number, f->cache_memory = out ? out : fresh; return f->cache = out ? out : raw; }
/* ---- names, receipts' runs, sizes (sections 5.1 and 7) ---- */
typedef struct { const uint8_t *p; uint64_t n; } aef__text;
static int aef__text_order(const void *a, const void *b) {
    const aef__text *x = (const aef__text *)a, *y = (const aef__text *)b; return aef__compare(x->p, x->n, y->p, y->n); }
static int aef__good_name(const uint8_t *p, uint64_t n) { /* C7-2 */
    uint64_t part = 0; if (n < 1 || n > 1024) return 0;
    if (n > 1 && p[1] == ':' && ((p[0] | 32u) >= 'a' && (p[0] | 32u) <= 'z')) return 0;
    for (uint64_t i = 0; i <= n; i++) {
        if (i < n && p[i] != '/') { if (p[i] < 32 || p[i] == 127 || p[i] == '\\') return 0; continue; }
        uint64_t size = i - part;
        if (size == 0 || (size == 1 && p[part] == '.') || (size == 2 && p[part] == '.' && p[part + 1] == '.')) return 0;
        part = i + 1; }
    return 1; }
static int aef__check_names(aef_file *f, const uint8_t *p, const aef__chunk *c) {
    static const char *const keys[3] = {"labels", "names", "sources"};
    uint64_t where, n = c->n_rows; int rule = aef__walk(p, c->raw, 4, &where), ok = 1;
    if (rule) return aef__fail(f, AEF_NAMES, aef__walk_rules[rule], c->payload);
    ok = aef__at(p).n > 0 && aef__has_only(p, "labels names sources");
    for (int k = 0; ok && k < 3; k++) {
        const uint8_t *list = aef__get(p, keys[k]); int64_t number; if (!list) continue;
        aef__token t = aef__at(list); ok = t.type == AEF__LIST && t.n == n;
        for (uint64_t i = 0; ok && i < n; i++, t.p = aef__skip(t.p))
            ok = k == 0 ? aef__whole(t.p, 0, 0xffffffff, &number) : k == 1 ? aef__is_type(t.p, AEF__STR) : aef__is_id(t.p); }
    if (!ok) return aef__fail(f, AEF_NAMES, "C7-1", c->payload);
    const uint8_t *list = aef__get(p, "names"); if (!list) return 1;
    aef__text *texts = (aef__text *)aef__new(f, n, sizeof *texts); if (!texts) return 0;
    aef__token t = aef__at(list); const char *broken = NULL;
    for (uint64_t i = 0; i < n && !broken; i++, t.p = aef__skip(t.p)) {
        aef__token name = aef__at(t.p); texts[i].p = name.p, texts[i].n = name.n;
        if (!aef__good_name(name.p, name.n)) broken = "C7-2"; }
    if (!broken) {
        qsort(texts, (size_t)n, sizeof *texts, aef__text_order);
        for (uint64_t i = 1; i < n; i++) if (aef__text_order(texts + i - 1, texts + i) == 0) broken = "C7-3"; }
    aef__drop(f, texts); return broken ? aef__fail(f, AEF_NAMES, broken, c->payload) : 1; }
static const struct { const char *type; uint64_t width; } aef__field_types[14] = {
    {"int8", 1}, {"int16", 2}, {"int32", 4}, {"int64", 8}, {"uint8", 1}, {"uint16", 2}, {"uint32", 4}, {"uint64", 8},
    {"float16", 2}, {"float32", 4}, {"float64", 8}, {"bool", 1}, {"text", 0}, {"bytes", 0}};
/* The field of a head whose name stands at *p, which goes on; *each: its bytes a row, 0 for text and bytes.  0 by C22-4. */
static int aef__read_field(const uint8_t **p, aef_field *field, uint64_t *each) {
    aef__token name = aef__at(*p), list = aef__at(name.end); int64_t size; int k = 0; *p = aef__skip(name.end);
    if (name.n > 256 || !aef__is_text(name.p, name.n) || list.type != AEF__LIST || list.n < 1 || list.n > 9) return 0;
    while (k < 14 && !aef__is(list.p, aef__field_types[k].type)) k++;
    if (k == 14 || (k > 11 && list.n > 1)) return 0;
    field->name = (const char *)name.p, field->name_bytes = (uint32_t)name.n, field->type = aef__field_types[k].type;
    field->axes = (uint32_t)list.n - 1, *each = aef__field_types[k].width;
    for (uint32_t i = 0; i < field->axes; i++) {
        list.p = aef__skip(list.p); if (!aef__whole(list.p, 1, 0x7fffffff, &size)) return 0;
        field->sizes[i] = (uint32_t)size, *each = aef__mul(*each, (uint64_t)size); }
    return 1; }
/* The bytes of a column, of which left may be there: more than left if it is longer. */
static uint64_t aef__column(const uint8_t *p, uint64_t left, uint64_t rows, uint64_t each) {
    uint64_t bytes = aef__mul(rows, each ? each : 4);
    for (uint64_t i = 0; !each && bytes <= left && i < rows; i++)
        if (aef__u32(p + 4 * i) != UINT32_MAX) bytes += aef__u32(p + 4 * i);
    return bytes; }
/* The value of row i; *next, where it begins, goes on. */
static void aef__field_value(const uint8_t *column, uint64_t i, uint64_t each, const uint8_t **next, aef_field *field) {
    int none = !each && aef__u32(column + 4 * i) == UINT32_MAX;
    field->value = none ? NULL : *next, field->bytes = none ? 0 : each ? each : aef__u32(column + 4 * i);
    *next += field->bytes; }
static int aef__check_columns(aef_file *f, const uint8_t *p, const aef__chunk *c) { /* C22-3 to C22-7 */
    uint64_t n = c->raw < 4 ? 0 : aef__u32(p), where, each, rows = c->n_rows; aef_field field; const uint8_t *head = p + 4, *at;
    if (n < 1 || n > 65536 || n > c->raw - 4 || aef__walk(head, n, 2, &where))
        return aef__fail(f, AEF_FIELDS, "C22-3", c->payload);
    aef__token map = aef__at(head); int ok = map.n >= 1 && map.n <= 256; at = map.p;
    for (uint64_t i = 0; ok && i < map.n; i++) ok = aef__read_field(&at, &field, &each);
    if (!ok) return aef__fail(f, AEF_FIELDS, "C22-4", c->payload);
    if (!f->head) {
        if (!(f->head = (uint8_t *)aef__new(f, n, 1))) return 0;
        memcpy(f->head, head, (size_t)n), f->head_len = n; }
    if (aef__compare(head, n, f->head, f->head_len)) return aef__fail(f, AEF_FIELDS, "C22-5", c->payload);
    for (int step = 6; step < 8; step++) {
        const uint8_t *column = head + n, *end = p + c->raw; at = map.p;
        for (uint64_t i = 0; ok && i < map.n; i++) {
            (void)aef__read_field(&at, &field, &each);
            int text = !strcmp(field.type, "text"), bools = !strcmp(field.type, "bool");
            uint64_t left = (uint64_t)(end - column), bytes = aef__column(column, left, rows, each); ok = bytes <= left;
            const uint8_t *next = column + (each || !ok ? 0 : 4 * rows);
            for (uint64_t row = 0; step == 7 && ok && (text || bools) && row < rows; row++) {
                aef__field_value(column, row, each, &next, &field);
                if (text) ok = aef__utf8(field.value, field.bytes, 1);
                for (uint64_t j = 0; ok && bools && j < field.bytes; j++) ok = field.value[j] < 2; }
            column += ok ? bytes : 0; }
        if (!ok || column != end) return aef__fail(f, AEF_FIELDS, step == 6 ? "C22-6" : "C22-7", c->payload); }
    return 1; }
/* How many more of n rows of so many pixels go into a run that has rows and pixels already. */
static uint64_t aef__run_room(const aef_file *f, uint64_t rows, uint64_t pixels, uint64_t each) {
    uint64_t room = 64 - rows; if (!f->free_image || each == 0) return room;
    if (rows == 0 && each > 1048576) return 1;
    uint64_t fit = pixels < 1048576 ? (1048576 - pixels) / each : 0; return fit < room ? fit : room; }
static uint64_t aef__count_runs(const aef_file *f, const aef__block *b) {
    uint64_t runs = 0, rows = 0, pixels = 0, n; uint32_t image[3];
    for (uint64_t i = 0; i < aef__entries(f, b); i++) {
        (void)aef__entry(f, b, i, &n, NULL, image);
        for (uint64_t each = (uint64_t)image[0] * image[1]; n;) {
            uint64_t room = aef__run_room(f, rows, pixels, each); if (room == 0) { rows = pixels = 0; continue; }
            if (rows == 0 && n > room) { /* whole runs at once */
                runs += (n - 1) / room, n -= (n - 1) / room * room; continue; }
            uint64_t take = n < room ? n : room; runs += rows == 0; rows += take, pixels += take * each, n -= take; } }
    return runs; }
static int aef__check_sizes(aef_file *f, const aef__chunk *c, uint64_t *raw) {
    uint64_t entry = 4 + 4 * f->n_free, n = c->raw / entry, rows = 0; const uint8_t *p = f->data + c->payload; aef__block b;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t some = aef__u32(p + i * entry); rows += some;
        if (some == 0 || rows > c->n_rows || (i == n - 1 && rows < c->n_rows))
            return aef__misfit(f, "C5-5", c->payload + i * entry); }
    for (uint64_t i = 1; i < n; i++)
        if (!memcmp(p + i * entry + 4, p + (i - 1) * entry + 4, (size_t)(entry - 4)))
            return aef__misfit(f, "C5-6", c->payload + i * entry);
    for (uint64_t i = 0; i < n * (entry / 4); i++) {
        uint64_t k = i % (entry / 4), size = aef__u32(p + 4 * i);
        if (k && (size == 0 || size > (k > f->n_free_dims ? 65535u : 0x7fffffffu)))
            return aef__fail(f, size ? AEF_LIMIT : AEF_STRUCTURE, "C5-7", c->payload + 4 * i); }
    memset(&b, 0, sizeof b); b.sizes = *c;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t image[3]; uint64_t some, values = aef__entry(f, &b, i, &some, NULL, image), bytes = aef__mul(values, f->width);
        if (bytes > 268435456 || (uint64_t)image[0] * image[1] * image[2] > 1073741824)
            return aef__fail(f, AEF_LIMIT, "C5-8", c->payload + i * entry);
        *raw += some * bytes; }
    return 1; }
/* ---- model packages: the manifest (model.md, sections 2, 3, 6 and 10) ---- */
enum {
    AEF__DENSE, AEF__CONV, AEF__TRANSPOSE, AEF__AFFINE, AEF__ADD, AEF__CONCAT, AEF__UPSAMPLE, AEF__MAX_POOL, AEF__SLICE,
    AEF__PAD, AEF__CROP, AEF__RESHAPE, AEF__FLATTEN, AEF__LOOKUP, AEF__MEAN_POOL, AEF__SCALE, AEF__TO_U8, AEF__KINDS = 25
};
static const struct { const char *kind, *keys; } aef__kinds[AEF__KINDS] = {
    {"dense", "weights bias"}, {"conv2d", "weights bias strides padding"}, {"conv2d_transpose", "weights bias strides crop"},
    {"affine", "weights bias"}, {"add", ""}, {"concat", "axis"}, {"upsample", "factors"}, {"max_pool", "size strides padding"},
    {"slice", "start stop"}, {"pad", "padding value"}, {"crop", "crop"}, {"reshape", "shape"}, {"flatten", ""},
    {"lookup", "multiplier shift table"}, {"average_pool", "size strides padding"}, {"scale", "num den"}, {"to_u8", ""},
    {"leaky_relu", "num den"}, {"relu", ""}, {"sigmoid", ""}, {"tanh", ""}, {"elu", ""}, {"gelu", ""}, {"silu", ""},
        {"softplus", ""}};
static const struct {
    const char *key;
    int at, n; /* n numbers; 0: one that is no list */
    int64_t lo, hi; /* hi -1: the number of a tensor */
} aef__keys[15] = {
    {"weights", AEF__WEIGHTS, 0, 0, -1}, {"bias", AEF__BIAS, 0, 0, -1}, {"multiplier", AEF__MULTIPLIER, 0, 0, -1},
    {"table", AEF__TABLE, 0, 0, -1}, {"strides", AEF__STRIDES, 2, 1, 16}, {"factors", AEF__STRIDES, 2, 1, 16},
    {"size", AEF__SIZE, 2, 1, 1024}, {"padding", AEF__BORDER, 4, 0, 64}, {"crop", AEF__BORDER, 4, 0, 64},
    {"num", AEF__NUM, 0, -65536, 65536}, {"den", AEF__DEN, 0, 1, 65536}, {"shift", AEF__SHIFT, 0, 0, 40},
    {"axis", AEF__AXIS, 0, 0, 7}, {"start", AEF__START, 0, 0, 268435456}, {"stop", AEF__STOP, 0, 1, 268435456}};
static const int64_t aef__most = ((int64_t)1 << 53) - 1, aef__elements = 268435456;
static int aef__bad(aef_file *f, const char *rule) { return aef__fail(f, AEF_MANIFEST, rule, f->manifest_at); }
static int aef__over(aef_file *f, const char *rule) { return aef__fail(f, AEF_LIMIT, rule, f->manifest_at); }
static uint64_t aef__volume(const int64_t *shape, uint64_t axes) {
    uint64_t n = 1; for (uint64_t i = 0; i < axes; i++) n = aef__mul(n, (uint64_t)shape[i]); return n; }
/* M3-1 to M3-3 of one layer that makes value own. */
static int aef__read_layer(aef_file *f, const uint8_t *p, aef__layer *l, int64_t own) {
    const uint8_t *kind = aef__is_type(p, AEF__MAP) ? aef__get(p, "kind") : NULL, *v;
    for (l->kind = 0; kind && l->kind < AEF__KINDS && !aef__is(kind, aef__kinds[l->kind].kind);) l->kind++;
    if (!kind || l->kind == AEF__KINDS) return aef__bad(f, "M3-1");
    const char *keys = aef__kinds[l->kind].keys; char word[24]; uint64_t n = 2, items;
    int ok = aef__get(p, "inputs") && aef__has_all(p, keys);
    for (; ok && aef__word(&keys, word); n++) {
        v = aef__get(p, word);
        if (!strcmp(word, "shape")) ok = aef__whole_list(v, 1, 8, 1, aef__elements, l->a + AEF__SHAPE, &l->axes);
        if (!strcmp(word, "value")) ok = aef__whole(v, -128, 255, l->a + AEF__VALUE);
        for (int i = 0; i < 15; i++)
            if (ok && !strcmp(word, aef__keys[i].key)) {
                int64_t hi = aef__keys[i].hi < 0 ? (int64_t)f->n_tensors - 1 : aef__keys[i].hi, *to = l->a + aef__keys[i].at;
                uint64_t count = (uint64_t)aef__keys[i].n;
                ok = count ? aef__whole_list(v, count, count, aef__keys[i].lo, hi, to, &items) : aef__whole(v,
                    aef__keys[i].lo, hi, to);
                if (ok && aef__keys[i].at == AEF__NUM && *to == 0) ok = 0; } }
    if (!ok || aef__at(p).n != n) return aef__bad(f, "M3-2");
    int64_t in[64]; int many = l->kind == AEF__ADD || l->kind == AEF__CONCAT;
    if (!aef__whole_list(aef__get(p, "inputs"), many ? 2 : 1, many ? 64 : 1, 0, own - 1, in, &items)) return aef__bad(f,
        "M3-3");
    l->n_in = (int)items; for (int i = 0; i < l->n_in; i++) l->in[i] = (uint16_t)in[i]; return 1; }
/* M3-5 of layer k: the shape of what it makes. */
static int aef__shape(aef_file *f, aef__net *net, uint64_t k) {
    aef__layer *l = net->layer + k; aef__value *out = net->value + net->given + k, *in = net->value + l->in[0];
    const int64_t *a = l->a, *border = a + AEF__BORDER, *stride = a + AEF__STRIDES;
    aef__tensor *w = f->tensors + a[AEF__WEIGHTS], *b = f->tensors + a[AEF__BIAS]; int64_t *s = out->shape; int ok = 1;
    uint64_t last = in->axes - 1; out->axes = in->axes; memcpy(s, in->shape, sizeof out->shape);
    switch (l->kind) {
    case AEF__DENSE:
        ok = in->axes == 1 && w->axes == 2 && b->axes == 1 && w->shape[0] == s[0] && w->shape[1] == b->shape[0];
        s[0] = b->shape[0]; break;
    case AEF__CONV:
    case AEF__TRANSPOSE:
        ok = in->axes == 3 && w->axes == 4 && b->axes == 1 && w->shape[l->kind == AEF__CONV ? 2 : 3] == s[2] &&
             w->shape[l->kind == AEF__CONV ? 3 : 2] == b->shape[0];
        for (int i = 0; ok && i < 2; i++)
            s[i] = l->kind == AEF__CONV ? aef__floor_div(s[i] + border[2 * i] + border[2 * i + 1] - w->shape[i], stride[i]) + 1
                                        : (s[i] - 1) * stride[i] + w->shape[i] - border[2 * i] - border[2 * i + 1];
        s[2] = b->shape[0]; break;
    case AEF__AFFINE: ok = w->axes == 1 && b->axes == 1 && w->shape[0] == s[last] && b->shape[0] == s[last]; break;
    case AEF__ADD:
    case AEF__CONCAT: {
        int64_t axis = l->kind == AEF__ADD ? -1 : a[AEF__AXIS]; ok = axis < (int64_t)in->axes;
        for (int i = 1; ok && i < l->n_in; i++) {
            aef__value *other = net->value + l->in[i]; ok = other->axes == in->axes;
            for (int j = 0; ok && j < (int)in->axes; j++) ok = j == axis || other->shape[j] == s[j];
            if (ok && axis >= 0) s[axis] += other->shape[axis]; }
        break; }
    case AEF__UPSAMPLE:
        ok = in->axes == 3; for (int i = 0; ok && i < 2; i++) s[i] *= stride[i];
        break;
    case AEF__MAX_POOL:
    case AEF__MEAN_POOL:
        ok = in->axes == 3;
        for (int i = 0; ok && i < 2; i++) {
            int64_t size = a[AEF__SIZE + i]; ok = border[2 * i] < size && border[2 * i + 1] < size;
            s[i] = aef__floor_div(s[i] + border[2 * i] + border[2 * i + 1] - size, stride[i]) + 1; }
        break;
    case AEF__SLICE:
        ok = a[AEF__START] < a[AEF__STOP] && a[AEF__STOP] <= s[last]; s[last] = a[AEF__STOP] - a[AEF__START]; break;
    case AEF__PAD:
    case AEF__CROP:
        ok = in->axes == 3;
        for (int i = 0; ok && i < 2; i++) s[i] += (l->kind == AEF__PAD ? 1 : -1) * (border[2 * i] + border[2 * i + 1]);
        break;
    case AEF__RESHAPE:
        ok = aef__volume(a + AEF__SHAPE, l->axes) == in->n; out->axes = l->axes; memcpy(s, a + AEF__SHAPE, sizeof out->shape);
        break;
    case AEF__FLATTEN: out->axes = 1, s[0] = (int64_t)in->n; break;
    default: break; }
    for (uint64_t i = 0; i < out->axes; i++) ok = ok && s[i] > 0;
    if (!ok) return aef__bad(f, "M3-5");
    out->n = aef__volume(s, out->axes); if (out->n > (uint64_t)aef__elements) return aef__over(f, "M3-5");
    uint64_t weights = l->kind <= AEF__TRANSPOSE ? w->count : 1;
    l->macs = l->kind == AEF__DENSE ? weights : l->kind == AEF__CONV ? aef__mul(weights, (uint64_t)(s[0] * s[1])) : 0;
    if (l->kind == AEF__TRANSPOSE) l->macs = aef__mul(weights, (uint64_t)(in->shape[0] * in->shape[1]));
    if (l->kind == AEF__AFFINE || l->kind == AEF__ADD) l->macs = out->n * (uint64_t)l->n_in;
    if (l->kind == AEF__MAX_POOL || l->kind == AEF__MEAN_POOL) l->macs = out->n * (uint64_t)(a[AEF__SIZE] * a[AEF__SIZE + 1]);
    return 1; }
/* M3-6, then of a lookup M4-2 and M4-3 as far as they speak of types and shapes. */
static int aef__types(aef_file *f, aef__net *net, uint64_t k) {
    aef__layer *l = net->layer + k; aef__value *out = net->value + net->given + k, *in = net->value + l->in[0];
    aef__tensor *t = f->tensors; const int64_t *a = l->a;
    int whole = in->type == AEF_U8 || in->type == AEF_I8, ok = in->type != AEF_SUMS; out->type = in->type;
    if (l->kind <= AEF__AFFINE) {
        int w = t[a[AEF__WEIGHTS]].type, b = t[a[AEF__BIAS]].type;
        ok = net->exact ? whole && b == AEF_I32 && w == (l->kind == AEF__AFFINE ? AEF_I32 : AEF_I8)
                        : in->type == AEF_F32 && (w == AEF_F32 || w == AEF_F16) && (b == AEF_F32 || b == AEF_F16);
        out->type = net->exact ? AEF_SUMS : AEF_F32;
    } else if (l->kind == AEF__ADD) {
        ok = 1; for (int i = 0; i < l->n_in; i++) ok = ok && (net->value[l->in[i]].type == AEF_F32) == !net->exact;
        for (int i = 0; i < l->n_in; i++) ok = ok && (net->exact || net->value[l->in[i]].type == AEF_F32);
        out->type = net->exact ? AEF_SUMS : AEF_F32;
    } else if (l->kind == AEF__CONCAT) {
        for (int i = 0; i < l->n_in; i++) ok = ok && net->value[l->in[i]].type == in->type;
    } else if (l->kind == AEF__PAD) {
        ok = ok && (in->type == AEF_F32 || (in->type == AEF_U8 ? a[AEF__VALUE] >= 0 : a[AEF__VALUE] <= 127));
    } else if (l->kind == AEF__LOOKUP) {
        aef__tensor *m = t + a[AEF__MULTIPLIER], *table = t + a[AEF__TABLE];
        if (in->type != AEF_SUMS) return aef__bad(f, "M3-6");
        if (m->type != AEF_I32 || m->axes != 1 || (m->shape[0] != 1 && m->shape[0] != out->shape[out->axes - 1]))
            return aef__bad(f, "M4-2");
        if ((table->type != AEF_U8 && table->type != AEF_I8) || table->axes != 1 || table->count % 2 || table->count > 65536)
            return aef__bad(f, "M4-3");
        ok = 1, out->type = table->type;
    } else if (l->kind == AEF__SCALE) ok = whole, out->type = AEF_F32;
    else if (l->kind >= AEF__MEAN_POOL) ok = in->type == AEF_F32, out->type = l->kind == AEF__TO_U8 ? AEF_U8 : AEF_F32;
    return ok ? 1 : aef__bad(f, "M3-6"); }
static int aef__free_layer(const aef_file *f, const aef__net *net, uint64_t k) { /* M3-11 */
    const aef__layer *l = net->layer + k; const int64_t *border = l->a + AEF__BORDER;
    if (l->kind == AEF__CONCAT) return l->a[AEF__AXIS] == 2;
    for (int i = 0; i < 2 && (l->kind == AEF__CONV || l->kind == AEF__TRANSPOSE); i++) {
        int64_t edge = border[2 * i] + border[2 * i + 1], s = l->a[AEF__STRIDES + i],
            size = f->tensors[l->a[AEF__WEIGHTS]].shape[i];
        if (l->kind == AEF__TRANSPOSE ? edge != size - s
                                      : net->value[l->in[0]].shape[i] % s != 0 || edge < size - s || edge > size - 1)
            return 0; }
    return 1; }
static int aef__read_scale(aef_file *f) { /* M3-10 */
    static const int64_t primes[6] = {2, 3, 5, 7, 11, 13};
    for (uint64_t k = 0; k < f->net[0].n; k++) {
        int kind = f->net[0].layer[k].kind;
        if (kind == AEF__DENSE || kind == AEF__MAX_POOL || (kind >= AEF__PAD && kind <= AEF__FLATTEN) || kind == AEF__MEAN_POOL)
            return aef__bad(f, "M3-10"); }
    for (int i = 0; i < 2; i++) {
        int64_t power[6] = {0};
        for (uint64_t v = f->net[0].n; v;) {
            aef__layer *l = f->net[0].layer + v - 1;
            int64_t s = l->a[AEF__STRIDES + i], sign = (l->kind == AEF__CONV) == (f->decodes != 0) ? -1 : 1;
            for (int j = 0; j < 6 && (l->kind == AEF__CONV || l->kind == AEF__TRANSPOSE || l->kind == AEF__UPSAMPLE); j++)
                for (; s % primes[j] == 0; s /= primes[j]) power[j] += sign;
            v = l->in[0]; }
        f->scale[i] = 1;
        for (int j = 0; j < 6; j++) {
            if (power[j] < 0) return aef__bad(f, "M3-10");
            for (; power[j]; power[j]--) f->scale[i] = aef__mul(f->scale[i], (uint64_t)primes[j]); }
        if (f->scale[i] > (uint64_t)aef__elements) f->scale[i] = (uint64_t)aef__elements + 1; }
    return 1; }
static int aef__read_end(const uint8_t *p, aef__end *e) { /* M2-2 of an endpoint */
    if (!aef__is_type(p, AEF__MAP) || !aef__has_all(p, "shape type") || !aef__has_only(p, "range shape type")) return 0;
    e->type = aef__type(aef__get(p, "type"));
    return aef__whole_list(aef__get(p, "shape"), 1, 7, 0, aef__most, e->shape, &e->axes) &&
           (e->type == AEF_U8 || e->type == AEF_I8 || e->type == AEF_F32); }
static int aef__read_range(const uint8_t *p, aef__end *e) { /* M2-5 */
    int64_t lo = e->type == AEF_I8 ? -128 : 0, hi = e->type == AEF_I8 ? 127 : 255, r[2];
    const uint8_t *v = aef__get(p, "range"); uint64_t n; e->lo = lo, e->hi = hi; if (!v) return 1;
    if (e->type == AEF_F32 || !aef__whole_list(v, 2, 2, lo, hi, r, &n) || r[0] >= r[1] || (r[0] == lo && r[1] == hi)) return 0;
    e->lo = r[0], e->hi = r[1]; return 1; }
static int aef__read_prior(aef_file *f, const uint8_t *p) { /* M2-2; its layers later */
    static const char *const names[4] = {"classes", "means", "picks", "tables"};
    int64_t most = (int64_t)f->n_tensors - 1; if (!aef__is_type(p, AEF__MAP)) return 0;
    const uint8_t *passes = aef__get(p, "passes"), *v;
    const char *keys = passes ? "bits passes tables" : "bits classes means picks tables";
    if (!aef__has_all(p, keys) || !aef__has_only(p, keys) || !aef__whole(aef__get(p, "bits"), 8, 16, &f->bits)) return 0;
    for (int i = passes ? 3 : 0; i < 4; i++) if (!aef__whole(aef__get(p, names[i]), 0, most, f->prior + i)) return 0;
    f->has_prior = 1, f->passes = passes != NULL; if (!passes) return 1;
    if (!aef__is_type(passes, AEF__MAP) || !aef__has_all(passes, "groups layers outputs") ||
        !aef__has_only(passes, "groups layers outputs")) return 0;
    v = aef__get(passes, "outputs"); if (!aef__is_type(v, AEF__LIST)) return 0;
    aef__token t = aef__at(v); f->outputs_n = t.n; f->group = (int64_t *)aef__new(f, 256, sizeof *f->group);
    f->outputs = (int64_t *)aef__new(f, t.n, 2 * sizeof *f->outputs); if (!f->group || !f->outputs) return 0;
    for (uint64_t i = 0, n; i < t.n; i++, t.p = aef__skip(t.p))
        if (!aef__whole_list(t.p, 2, 2, 0, aef__most, f->outputs + 2 * i, &n)) return 0;
    v = aef__get(passes, "layers");
    return aef__whole_list(aef__get(passes, "groups"), 1, 256, 1, aef__elements, f->group, &f->groups) && aef__is_type(v,
        AEF__LIST) && aef__at(v).n > 0; }
static int aef__read_form(aef_file *f) { /* M2-2 */
    const uint8_t *p = f->manifest, *v = aef__get(p, "role"), *prior = aef__get(p, "prior");
    int ok = aef__has_all(p, "golden input layers output profile role tensors") &&
             aef__has_only(p, "decoder golden input layers output prior profile role tensors");
    if (!ok) return aef__bad(f, "M2-2");
    f->decodes = aef__is(v, "decoder"), f->exact = aef__is(aef__get(p, "profile"), "exact");
    ok = (f->decodes || aef__is(v, "encoder")) && (f->exact || aef__is(aef__get(p, "profile"), "float32")) &&
         aef__read_end(aef__get(p, "input"), &f->input) && aef__read_end(aef__get(p, "output"), &f->output) &&
         aef__is_type(aef__get(p, "layers"), AEF__LIST) && aef__at(aef__get(p, "layers")).n > 0 &&
         aef__is_type(aef__get(p, "tensors"), AEF__LIST) && aef__id_if_any(aef__get(p, "decoder"));
    if (!ok) return aef__bad(f, "M2-2");
    aef__token t = aef__at(aef__get(p, "tensors")); f->n_tensors = t.n;
    f->tensors = (aef__tensor *)aef__new(f, t.n < 4097 ? t.n : 4097, sizeof *f->tensors); if (!f->tensors) return 0;
    for (uint64_t i = 0; ok && i < t.n; i++, t.p = aef__skip(t.p)) {
        aef__tensor *x = f->tensors + (i < 4096 ? i : 4096);
        ok = aef__is_type(t.p, AEF__MAP) && aef__has_all(t.p, "sha256 shape type") && aef__has_only(t.p, "sha256 shape type") &&
             aef__is_id(aef__get(t.p, "sha256")) && aef__whole_list(aef__get(t.p, "shape"), 1, 8, 1, aef__most, x->shape,
                 &x->axes);
        if (!ok) break;
        x->type = aef__type(aef__get(t.p, "type")), x->sha = aef__at(aef__get(t.p, "sha256")).p;
        ok = x->type == AEF_F32 || x->type == AEF_F16 || x->type == AEF_U8 || x->type == AEF_I8 || x->type == AEF_I32;
        x->count = aef__volume(x->shape, x->axes); if (ok) x->bytes = aef__mul(x->count, aef__widths[x->type]); }
    for (uint64_t i = 0; i < f->input.axes; i++) f->is_free |= f->input.shape[i] == 0;
    for (uint64_t i = 0; i < f->output.axes; i++) f->is_free |= f->output.shape[i] == 0;
    v = aef__get(p, "golden"); ok = ok && aef__is_type(v, f->is_free ? AEF__LIST : AEF__MAP);
    f->n_golden = ok && f->is_free ? aef__at(v).n : 1;
    if (ok && f->is_free) ok = f->n_golden >= 2 && f->n_golden <= 8, v = aef__at(v).p;
    for (uint64_t i = 0; ok && i < f->n_golden; i++, v = aef__skip(v))
        ok = aef__is_type(v, AEF__MAP) && aef__has_all(v, "input output") && aef__has_only(v, "input output") &&
             aef__whole(aef__get(v, "input"), 0, (int64_t)f->n_tensors - 1, f->golden[i]) &&
             aef__whole(aef__get(v, "output"), 0, (int64_t)f->n_tensors - 1, f->golden[i] + 1);
    if (!ok || (prior && !aef__read_prior(f, prior))) return f->err.code ? 0 : aef__bad(f, "M2-2");
    if (aef__at(aef__get(p, "layers")).n > 1024 || f->n_tensors > 4096 ||
        (f->passes && aef__at(aef__get(aef__get(prior, "passes"), "layers")).n > 1024)) return aef__over(f, "M2-2");
    return 1; }
static int aef__read_net(aef_file *f, aef__net *net, const uint8_t *layers, uint64_t given, int exact) {
    aef__token t = aef__at(layers); net->n = t.n, net->given = given, net->exact = exact;
    net->layer = (aef__layer *)aef__new(f, t.n, sizeof *net->layer);
    net->value = (aef__value *)aef__new(f, given + t.n, sizeof *net->value); if (!net->layer || !net->value) return 0;
    for (uint64_t k = 0; k < t.n; k++, t.p = aef__skip(t.p)) {
        aef__layer *l = net->layer + k; if (!aef__read_layer(f, t.p, l, (int64_t)(given + k))) return 0;
        for (int i = 0; i < l->n_in; i++) net->value[l->in[i]].last_use = k + 1;
        for (int i = 0; i < 4; i++)
            if (l->kind <= AEF__AFFINE ? i < 2 : l->kind == AEF__LOOKUP && i >= 2) f->tensors[l->a[i]].used = 1; }
    return 1; }
static int aef__check_golden(aef_file *f) { /* M6-1 without the numbers */
    uint64_t rows = 0;
    const aef__end *ends[2] = {&f->input, &f->output};
    for (uint64_t i = 0; i < f->n_golden; i++) {
        const int64_t *s[2];
        for (int e = 0; e < 2; e++) {
            aef__tensor *t = f->tensors + f->golden[i][e]; s[e] = t->shape, t->used = 1;
            if (t->type != ends[e]->type || t->axes != ends[e]->axes + 1) return 0;
            for (uint64_t j = 0; j < ends[e]->axes; j++) if (ends[e]->shape[j] && ends[e]->shape[j] != s[e][j + 1]) return 0; }
        if (s[0][0] != s[1][0] || s[0][0] > 64) return 0;
        rows += (uint64_t)s[0][0]; const int64_t *image = s[f->decodes], *latent = s[!f->decodes];
        for (int j = 0; f->is_free && j < 2; j++)
            if ((uint64_t)latent[j + 1] != aef__ceil((uint64_t)image[j + 1], f->scale[j])) return 0;
        for (uint64_t j = 0; f->is_free && j < i; j++) {
            const int64_t *other = f->tensors[f->golden[j][f->decodes]].shape;
            if (other[1] == image[1] && other[2] == image[2]) return 0; } }
    return rows <= 64; }
static const int aef__phase[4][2] = {{0, 0}, {1, 1}, {0, 1}, {1, 0}};
/* M10-8 of layer k of the passes: its grid, or -2. */
static int aef__grid(const aef_file *f, const aef__layer *l) {
    const aef__value *v = f->net[1].value; int grid = v[l->in[0]].grid;
    const int64_t *s = l->a + AEF__STRIDES, *b = l->a + AEF__BORDER;
    for (int i = 1; i < l->n_in; i++) if (v[l->in[i]].grid != grid) return -2;
    if (l->kind == AEF__CONCAT) return l->a[AEF__AXIS] == 2 ? grid : -2;
    if (l->kind != AEF__CONV) return grid;
    int64_t kh = f->tensors[l->a[AEF__WEIGHTS]].shape[0], kw = f->tensors[l->a[AEF__WEIGHTS]].shape[1];
    if (kh % 2 == 0 || kw % 2 == 0 || b[1] != (kh - 1) / 2 || b[3] != (kw - 1) / 2) return -2;
    if (s[0] == 1 && s[1] == 1) return b[0] == b[1] && b[2] == b[3] ? grid : -2;
    for (int p = 0; p < 4 && s[0] == 2 && s[1] == 2 && kh >= 3 && kw >= 3 && grid == -1; p++)
        if (b[0] == b[1] - aef__phase[p][0] && b[2] == b[3] - aef__phase[p][1]) return p;
    return -2; }
static int aef__check_passes(aef_file *f) { /* M10-7 to M10-10 */
    aef__net *net = f->net + 1; int64_t channels = 0, most = (int64_t)(net->given + net->n);
    for (uint64_t g = 0; g < f->groups; g++) channels += f->group[g];
    int ok = channels == f->input.shape[2] && f->outputs_n == 4 * f->groups;
    for (uint64_t i = 0; i < 2 * f->outputs_n; i++) ok = ok && f->outputs[i] < most;
    if (!ok) return aef__bad(f, "M10-7");
    for (uint64_t k = 0; k < net->n; k++) {
        int kind = net->layer[k].kind;
        if (kind != AEF__CONV && kind != AEF__SLICE && kind != AEF__LOOKUP && (kind < AEF__AFFINE || kind > AEF__CONCAT))
            return aef__bad(f, "M10-8"); }
    for (uint64_t i = 0; i < net->given; i++) {
        aef__value *v = net->value + i;
        v->type = f->input.type, v->axes = 3, v->grid = -1, v->shape[0] = v->shape[1] = 2, v->shape[2] = f->group[i / 5];
        v->n = 4 * (uint64_t)v->shape[2], v->has_range = 1, v->after = i % 5 ? i / 5 * 4 + i % 5 : 0;
        v->lo = f->input.lo < 0 ? f->input.lo : 0, v->hi = f->input.hi > 0 ? f->input.hi : 0; }
    for (uint64_t k = 0; k < net->n; k++) {
        aef__value *v = net->value + net->given + k; if (!aef__shape(f, net, k) || !aef__types(f, net, k)) return 0;
        if ((v->grid = aef__grid(f, net->layer + k)) == -2) return aef__bad(f, "M10-8");
        for (int i = 0; i < net->layer[k].n_in; i++)
            if (net->value[net->layer[k].in[i]].after > v->after) v->after = net->value[net->layer[k].in[i]].after; }
    for (uint64_t i = 0; i < 2 * f->outputs_n; i++) {
        net->value[f->outputs[i]].last_use = UINT64_MAX; if (net->value[f->outputs[i]].after > i / 2) ok = 0; }
    for (uint64_t k = 0; k < net->n; k++) ok = ok && net->value[net->given + k].last_use;
    if (!ok) return aef__bad(f, "M10-9");
    for (uint64_t i = 0; i < 2 * f->outputs_n; i++) {
        aef__value *v = net->value + f->outputs[i];
        ok = ok && v->grid == (int)(i / 2 % 4) && v->axes == 3 && v->shape[2] == f->group[i / 8] &&
             (v->type == AEF_U8 || (v->type == AEF_I8 && i % 2 == 0)); }
    return ok ? 1 : aef__bad(f, "M10-10"); }
/* A tensor of a type and axes. */
static int aef__tensor_is(const aef__tensor *t, int type, uint64_t axes) { return t->type == type && t->axes == axes; }
static int aef__check_prior(aef_file *f) { /* M10-6, M10-1, M10-2 */
    aef__tensor *t[4]; if (f->passes != f->is_free) return aef__bad(f, "M10-6");
    if (f->input.type == AEF_F32) return aef__bad(f, "M10-1");
    for (int i = 0; i < 4; i++) t[i] = f->tensors + f->prior[i];
    f->n_symbols = (uint64_t)(f->input.hi - f->input.lo + 1); uint64_t columns = f->n_symbols + (f->passes ? 1 : 0);
    int ok = aef__tensor_is(t[3], AEF_I32, 2) && (uint64_t)t[3]->shape[1] == columns && t[3]->shape[0] <= 256;
    f->n_tables = (uint64_t)t[3]->shape[0], f->n_classes = f->passes ? 0 : (uint64_t)t[0]->shape[0];
    if (!f->passes) {
        ok = ok && aef__tensor_is(t[0], AEF_I32, 1) && f->n_classes <= 4096;
        for (int i = 1; i < 3; i++) {
            ok = ok && aef__tensor_is(t[i], AEF_U8, f->input.axes + 1) && t[i]->shape[0] == t[0]->shape[0];
            for (uint64_t j = 0; ok && j < f->input.axes; j++) ok = t[i]->shape[j + 1] == f->input.shape[j]; } }
    return ok ? 1 : aef__bad(f, "M10-2"); }
static int aef__read_manifest(aef_file *f) { /* steps 3 to 11 of model.md, section 1 */
    const uint8_t *p = f->manifest; uint8_t digest[32]; uint64_t where; aef__net *net = f->net;
    aef_sha256(p, f->manifest_len, digest);
    if (memcmp(digest, aef__at(aef__get(f->header, "model")).p, 32)) return aef__bad(f, "M1-2");
    if (aef__walk(p, f->manifest_len, 6, &where)) return aef__bad(f, "M2-1");
    if (!aef__read_form(f)) return 0;
    if ((aef__get(p, "decoder") != NULL) == (f->decodes != 0) || (f->has_prior && !f->decodes)) return aef__bad(f, "M2-3");
    aef__end *image = f->decodes ? &f->output : &f->input, *latent = f->decodes ? &f->input : &f->output;
    if (image->type != AEF_U8 || image->axes != 3) return aef__bad(f, "M2-4");
    if (!aef__read_range(aef__get(p, "input"), &f->input) || !aef__read_range(aef__get(p, "output"), &f->output))
        return aef__bad(f, "M2-5");
    for (uint64_t i = 0; i < f->n_tensors; i++) if (f->tensors[i].bytes > 268435456) return aef__over(f, "M2-6");
    if (f->exact && (f->input.type == AEF_F32 || f->output.type == AEF_F32)) return aef__bad(f, "M2-7");
    if (f->is_free && (latent->axes != 3 || image->shape[0] || image->shape[1] || latent->shape[0] || latent->shape[1] ||
                       !image->shape[2] || !latent->shape[2])) return aef__bad(f, "M2-8");
    if (!aef__read_net(f, net, aef__get(p, "layers"), 1, f->exact)) return 0;
    if (f->passes && !aef__read_net(f, net + 1, aef__get(aef__get(aef__get(p, "prior"), "passes"), "layers"), 5 * f->groups, 1))
        return 0;
    int newer = f->is_free; for (uint64_t k = 0; k < net->n; k++) newer |= net->layer[k].kind == AEF__SLICE;
    if (newer != (int)(f->flags >> 2 & 1u)) return aef__bad(f, "M1-7");
    f->scale[0] = f->scale[1] = 1; if (f->is_free && !aef__read_scale(f)) return 0;
    aef__value *in = net->value, *last = net->value + net->n; in->type = f->input.type, in->axes = f->input.axes, in->grid = -1;
    in->has_range = in->type != AEF_F32, in->lo = f->input.lo, in->hi = f->input.hi;
    for (uint64_t i = 0; i < in->axes; i++)
        in->shape[i] = !f->is_free || i > 1 ? f->input.shape[i] : f->decodes ? 1 : (int64_t)f->scale[i];
    in->n = aef__volume(in->shape, in->axes); if (in->n > (uint64_t)aef__elements) return aef__over(f, "M3-5");
    for (uint64_t k = 0; k < net->n; k++) {
        int kind = net->layer[k].kind; if (f->exact ? kind > AEF__LOOKUP : kind == AEF__LOOKUP) return aef__bad(f, "M3-4");
        if (!aef__shape(f, net, k) || !aef__types(f, net, k)) return 0;
        if (f->is_free && !aef__free_layer(f, net, k)) return aef__bad(f, "M3-11");
        f->work = aef__add(f->work, aef__add(net->layer[k].macs, net->value[k + 1].n)); }
    for (uint64_t v = 0; v < net->n; v++) if (!net->value[v].last_use) return aef__bad(f, "M3-7");
    int ok = last->type == f->output.type && last->axes == f->output.axes;
    for (uint64_t i = 0; ok && i < last->axes; i++)
        ok = last->shape[i] == (!f->is_free || i > 1 ? f->output.shape[i] : f->decodes ? (int64_t)f->scale[i] : 1);
    if (!ok) return aef__bad(f, "M3-8");
    int golden = aef__check_golden(f);
    for (uint64_t i = 0; i < f->n_golden; i++) f->tensors[f->golden[i][0]].used = f->tensors[f->golden[i][1]].used = 1;
    for (int i = f->passes ? 3 : 0; f->has_prior && i < 4; i++) f->tensors[f->prior[i]].used = 1;
    for (uint64_t i = 0; i < f->n_tensors; i++) if (!f->tensors[i].used) return aef__bad(f, "M3-9");
    if (!golden) return aef__bad(f, "M6-1");
    if (f->has_prior && !aef__check_prior(f)) return 0;
    if (f->passes && !aef__check_passes(f)) return 0;
    return f->opt.max_work && f->work > f->opt.max_work ? aef__over(f, "M7-1") : 1; }
/* ---- model packages: bounds and computing (model.md, sections 4, 6 and 10) ---- */
static int64_t aef__item(const aef__tensor *t, uint64_t i) {
    return t->type == AEF_I32 ? aef__i32(t->data + 4 * i) : (int64_t)aef__byte((aef_type)t->type, t->data[i]); }
static uint64_t aef__size_of(int64_t v) { return v < 0 ? (uint64_t)-v : (uint64_t)v; }
static int aef__bound(aef_file *f, aef__layer *l, aef__value *in, aef__value *out) { /* M4-1, M4-5 of weights */
    aef__tensor *w = f->tensors + l->a[AEF__WEIGHTS], *b = f->tensors + l->a[AEF__BIAS];
    uint64_t d = b->count, low = aef__size_of(in->lo), high = aef__size_of(in->hi), largest = low > high ? low : high;
    uint64_t sh = 1, sw = 1, kw = w->axes > 2 ? (uint64_t)w->shape[1] : 1,
        c = l->kind == AEF__TRANSPOSE ? (uint64_t)w->shape[3] : 1;
    if (l->kind == AEF__TRANSPOSE && f->flags & 4u) sh = (uint64_t)l->a[AEF__STRIDES], sw = (uint64_t)l->a[AEF__STRIDES + 1];
    uint64_t *sums = (uint64_t *)aef__new(f, sh * sw * d, sizeof *sums); int full = 0; if (!sums) return 0;
    for (uint64_t i = 0; i < w->count; i++) {
        int64_t v = aef__item(w, i); uint64_t tap = i / c / d, phase = tap / kw % sh * sw + tap % kw % sw;
        sums[(l->kind == AEF__TRANSPOSE ? phase * d : 0) + i / c % d] += aef__size_of(v) * largest;
        full |= w->type == AEF_I8 && v == -128; }
    for (uint64_t i = 0; i < sh * sw * d; i++) {
        sums[i] += aef__size_of(aef__item(b, i % d)); if (sums[i] > out->bound) out->bound = sums[i]; }
    aef__drop(f, sums); return out->bound >> 31 ? aef__bad(f, "M4-1") : full ? aef__bad(f, "M4-5") : 1; }
static int aef__bounds(aef_file *f, aef__net *net) { /* steps 15 and 17 of model.md, section 1, and the intervals */
    for (uint64_t k = 0; k < net->n; k++) {
        aef__layer *l = net->layer + k; aef__value *in = net->value + l->in[0], *out = net->value + net->given + k;
        out->has_range = in->has_range, out->lo = in->lo, out->hi = in->hi;
        if (l->kind <= AEF__ADD) {
            out->has_range = 0; if (!net->exact) continue;
            if (l->kind <= AEF__AFFINE && !aef__bound(f, l, in, out)) return 0;
            for (int i = 0; i < l->n_in && l->kind == AEF__ADD; i++) {
                aef__value *v = net->value + l->in[i]; uint64_t low = aef__size_of(v->lo), high = aef__size_of(v->hi);
                out->bound += v->type == AEF_SUMS ? v->bound : low > high ? low : high; }
            if (out->bound >> 31) return aef__bad(f, "M4-1");
        } else if (l->kind == AEF__LOOKUP) {
            aef__tensor *m = f->tensors + l->a[AEF__MULTIPLIER], *t = f->tensors + l->a[AEF__TABLE];
            uint64_t most = 0, half = l->a[AEF__SHIFT] ? (uint64_t)1 << (l->a[AEF__SHIFT] - 1) : 0;
            for (uint64_t i = 0; i < m->count; i++) {
                int64_t v = aef__item(m, i); if (v < 1 || v > 16777216) return aef__bad(f, "M4-2");
                if ((uint64_t)v > most) most = (uint64_t)v; }
            if ((in->bound * most + half) >> 53) return aef__bad(f, "M4-4");
            out->has_range = 1, out->lo = out->hi = aef__item(t, 0);
            for (uint64_t i = 1; i < t->count; i++) {
                int64_t v = aef__item(t, i); out->lo = v < out->lo ? v : out->lo, out->hi = v > out->hi ? v : out->hi; }
        } else if (l->kind == AEF__CONCAT || l->kind == AEF__PAD) {
            int64_t lo = l->a[AEF__VALUE], hi = lo;
            for (int i = 0; i < l->n_in; i++) {
                aef__value *v = net->value + l->in[i];
                if (i || l->kind == AEF__PAD) lo = v->lo < lo ? v->lo : lo, hi = v->hi > hi ? v->hi : hi;
                else lo = v->lo, hi = v->hi; }
            out->lo = lo, out->hi = hi;
        } else if (l->kind == AEF__TO_U8) out->has_range = 1, out->lo = 0, out->hi = 255;
        else if (l->kind >= AEF__MEAN_POOL) out->has_range = 0; }
    return 1; }
static int aef__check_tables(aef_file *f) { /* M10-3 to M10-5; the sums of frequencies */
    int64_t sum, whole = (int64_t)1 << f->bits; aef__tensor *t = f->tensors + f->prior[3], *c = f->tensors + f->prior[0];
    uint64_t columns = f->n_symbols + (f->passes ? 1 : 0);
    f->cum_tables = (uint32_t *)aef__new(f, f->n_tables * (columns + 1), sizeof *f->cum_tables);
    f->cum_classes = (uint32_t *)aef__new(f, f->n_classes + 1, sizeof *f->cum_classes);
    if (!f->cum_tables || !f->cum_classes) return 0;
    sum = 0;
    for (uint64_t i = 0; i < f->n_classes; i++) {
        int64_t v = aef__item(c, i); sum += v;
        if (v < 1 || sum > whole || (i == f->n_classes - 1 && sum != whole)) return aef__bad(f, "M10-3");
        f->cum_classes[i + 1] = (uint32_t)sum; }
    for (uint64_t row = 0; row < f->n_tables; row++) {
        int zero = 0; sum = 0;
        for (uint64_t i = 0; i < columns; i++) {
            int64_t v = aef__item(t, row * columns + i); sum += v;
            if (v < (f->passes ? 0 : 1) || sum > whole || (f->passes && i == f->n_symbols &&
                (v > 0) != zero)) return aef__bad(f, "M10-4");
            zero |= v == 0; f->cum_tables[row * (columns + 1) + i + 1] = (uint32_t)sum; }
        if (sum != whole) return aef__bad(f, "M10-4"); }
    for (int k = 1; k < 3 && !f->passes; k++)
        for (uint64_t i = 0; i < f->tensors[f->prior[k]].count; i++)
            if (f->tensors[f->prior[k]].data[i] >= (k == 1 ? f->n_symbols : f->n_tables)) return aef__bad(f, "M10-5");
    return 1; }
typedef struct { uint8_t *b; int32_t *s; uint64_t h, w, c, n; } aef__row_value; /* of one row: 8-bit numbers, or sums */
typedef union { float f[16]; double d[16]; } aef__sums;
/* sums[j] += x[i] * w[i][j]: exact, since no partial sum reaches 2^24 in float, 2^53 in double (section 4). */
#define AEF__MAC(name, real)                                                                   \
    static void name(real *sums, const real *x, uint64_t n, const real *w, uint64_t stride) {   \
        real a[16]; memcpy(a, sums, sizeof a);                                                  \
        for (uint64_t i = 0; i < n; i++, w += stride) {                                         \
            real v = x[i]; if (v < 0 || v > 0) for (int j = 0; j < 16; j++) a[j] += v * w[j]; } \
        memcpy(sums, a, sizeof a); }
AEF__MAC(aef__mac_float, float)
AEF__MAC(aef__mac_double, double)
static void aef__mac(const aef__layer *l, aef__sums *sums, const void *x, uint64_t at, uint64_t n, uint64_t first,
    uint64_t stride) { /* first: the number of the first weight */
    if (l->wide) aef__mac_double(sums->d, (const double *)x + at, n, (const double *)l->weights + first, stride);
    else aef__mac_float(sums->f, (const float *)x + at, n, (const float *)l->weights + first, stride); }
static void aef__fill(int wide, void *to, uint64_t at, const uint8_t *from, uint64_t n, aef_type type) { /* from NULL: zeros */
    for (uint64_t i = 0; i < n; i++) {
        int v = from ? aef__byte(type, from[i]) : 0;
        if (wide) ((double *)to)[at + i] = v; else ((float *)to)[at + i] = (float)v; } }
/* Weights as rows of outputs for each input under each tap, then a row of the bias. */
static int aef__prepare(aef_file *f, aef__layer *l, const aef__value *out) {
    aef__tensor *w = f->tensors + l->a[AEF__WEIGHTS], *b = f->tensors + l->a[AEF__BIAS];
    uint64_t d = b->count, rows = w->count / d, stride = aef__ceil(d, 16) * 16, c = (uint64_t)w->shape[w->axes - 1];
    if (l->weights) return 1;
    l->wide = out->bound >> 24 != 0; if (!(l->weights = aef__new(f, (rows + 1) * stride, l->wide ? 8 : 4))) return 0;
    for (uint64_t i = 0; i < w->count + d; i++) {
        int64_t v = i < w->count ? aef__item(w, i) : aef__item(b, i - w->count); uint64_t row = i / d, column = i % d;
        if (l->kind == AEF__TRANSPOSE && i < w->count) row = i / c / d * c + i % c, column = i / c % d;
        if (l->wide) ((double *)l->weights)[row * stride + column] = (double)v;
        else ((float *)l->weights)[row * stride + column] = (float)v; }
    return 1; }
/* n sums, from the one numbered at on, go into a value: as they are, or through a lookup. */
static int aef__emit(aef_file *f, aef__layer *look, const int32_t *sums, uint64_t n, aef__row_value *out, uint64_t at) {
    if (!look) { memcpy(out->s + at, sums, (size_t)n * sizeof *sums); return 1; }
    aef__tensor *m = f->tensors + look->a[AEF__MULTIPLIER], *t = f->tensors + look->a[AEF__TABLE];
    if (!look->multiplier) {
        if (!(look->multiplier = (int32_t *)aef__new(f, m->count, sizeof *look->multiplier))) return 0;
        for (uint64_t i = 0; i < m->count; i++) look->multiplier[i] = (int32_t)aef__item(m, i); }
    int64_t shift = look->a[AEF__SHIFT], half = shift ? (int64_t)1 << (shift - 1) : 0, middle = (int64_t)t->count / 2,
        top = (int64_t)t->count - 1;
    uint64_t channel = at % out->c;
    for (uint64_t i = 0; i < n; i++) {
        int64_t v = (int64_t)sums[i] * look->multiplier[m->count > 1 ? channel : 0] + half;
        v = (v >= 0 ? v >> shift : ~(~v >> shift)) + middle; out->b[at + i] = t->data[v < 0 ? 0 : v > top ? top : v];
        if (++channel == out->c) channel = 0; }
    return 1; }
/* dense, conv2d and conv2d_transpose, one row of the output after the other. */
static int aef__run_weights(aef_file *f, aef__net *net, aef__layer *l, aef__layer *look, aef__row_value *in,
    aef__row_value *out, const aef__row_value *shape, const aef__value *made) {
    aef__tensor *w = f->tensors + l->a[AEF__WEIGHTS]; const int64_t *border = l->a + AEF__BORDER;
    int dense = l->kind == AEF__DENSE, across = l->kind == AEF__TRANSPOSE, ok;
    aef_type type = (aef_type)net->value[l->in[0]].type;
    uint64_t kh = dense ? 1 : (uint64_t)w->shape[0], kw = dense ? 1 : (uint64_t)w->shape[1], c = in->c, d = shape->c;
    uint64_t sh = dense ? 1 : (uint64_t)l->a[AEF__STRIDES], sw = dense ? 1 : (uint64_t)l->a[AEF__STRIDES + 1];
    uint64_t left = across ? 0 : (uint64_t)border[2], wide_row = (in->w + left + (across ? 0 : (uint64_t)border[3])) * c;
    uint64_t slots = across ? aef__ceil(kh, sh) : kh, stride = aef__ceil(d, 16) * 16, rows = w->count / d; void *x = NULL;
    uint64_t *held = NULL; int32_t *sums = NULL;
    ok = aef__prepare(f, l, made) && (x = aef__new(f, aef__mul(slots, wide_row), l->wide ? 8 : 4)) != NULL &&
         (held = (uint64_t *)aef__new(f, slots, sizeof *held)) != NULL && (sums = (int32_t *)aef__new(f, shape->w * d,
             sizeof *sums)) != NULL;
    for (uint64_t oy = 0; ok && oy < shape->h; oy++) {
        uint64_t place = oy + (across ? (uint64_t)border[0] : 0);
        for (uint64_t ky = across ? place % sh : 0; ky < kh; ky += across ? sh : 1) { /* the rows of the input,
            as they are needed */
            uint64_t y = across ? (place - ky) / sh : oy * sh + ky, slot = y % slots,
                real = y - (across ? 0 : (uint64_t)border[0]);
            if ((across && ky > place) || held[slot] == y + 1) continue;
            held[slot] = y + 1; const uint8_t *from = real < in->h ? in->b + real * in->w * c : NULL;
            aef__fill(l->wide, x, slot * wide_row + left * c, from, in->w * c, type); }
        for (uint64_t ox = 0; ox < shape->w; ox++)
            for (uint64_t j = 0; j < d; j += 16) {
                aef__sums a;
                if (l->wide) memcpy(a.d, (const double *)l->weights + rows * stride + j, sizeof a.d);
                else memcpy(a.f, (const float *)l->weights + rows * stride + j, sizeof a.f);
                for (uint64_t ky = across ? place % sh : 0; ky < kh; ky += across ? sh : 1) {
                    uint64_t y = across ? (place - ky) / sh : oy * sh + ky, X = ox + (across ? (uint64_t)border[2] : 0);
                    uint64_t from = y % slots * wide_row + (across ? 0 : ox * sw * c), first = ky * kw * c * stride + j;
                    if (!across) aef__mac(l, &a, x, from, kw * c, first, stride);
                    for (uint64_t kx = X % sw; across && ky <= place && y < in->h && kx < kw && kx <= X; kx += sw)
                        if ((X - kx) / sw < in->w)
                            aef__mac(l, &a, x, from + (X - kx) / sw * c, c, first + kx * c * stride, stride); }
                for (uint64_t i = 0; i < 16 && j + i < d; i++)
                    sums[ox * d + j + i] = l->wide ? (int32_t)a.d[i] : (int32_t)a.f[i]; }
        ok = aef__emit(f, look, sums, shape->w * d, out, oy * shape->w * d); }
    aef__drop(f, x), aef__drop(f, held), aef__drop(f, sums); return ok; }
static int64_t aef__number_of(const aef__row_value *v, aef_type type,
    uint64_t i) { return v->s ? (int64_t)v->s[i] : aef__byte(type, v->b[i]); }
/* Layer k of a row; the sums of one that only a lookup takes go through it at once. */
static int aef__run_layer(aef_file *f, aef__net *net, uint64_t k, aef__row_value *v) {
    aef__layer *l = net->layer + k, *look = NULL; aef__row_value *in = v + l->in[0], *out = v + net->given + k, shape = *out;
    const aef__value *made = net->value + net->given + k; const int64_t *a = l->a, *border = a + AEF__BORDER;
    aef_type type = (aef_type)net->value[l->in[0]].type; if (out->b || out->s) return 1;
    if (made->type == AEF_SUMS && made->last_use && made->last_use <= net->n) {
        uint64_t next = made->last_use - 1, uses = 0;
        for (uint64_t i = k + 1; i <= next; i++)
            for (int j = 0; j < net->layer[i].n_in; j++) uses += net->layer[i].in[j] == net->given + k;
        if (uses == 1 && net->layer[next].kind == AEF__LOOKUP) look = net->layer + next, out = v + net->given + next; }
    if (made->type == AEF_SUMS && !look) out->s = (int32_t *)aef__new(f, out->n, sizeof *out->s);
    else out->b = (uint8_t *)aef__new(f, out->n, 1);
    if (!out->s && !out->b) return 0;
    if (l->kind <= AEF__TRANSPOSE) return aef__run_weights(f, net, l, look, in, out, &shape, made);
    if (l->kind == AEF__AFFINE || l->kind == AEF__ADD) {
        aef__tensor *w = f->tensors + a[AEF__WEIGHTS], *b = f->tensors + a[AEF__BIAS];
        for (uint64_t i = 0; i < shape.n; i++) {
            int64_t sum = 0;
            if (l->kind == AEF__AFFINE) sum = aef__number_of(in, type, i) * aef__item(w, i % in->c) + aef__item(b, i % in->c);
            else for (int j = 0; j < l->n_in; j++) sum += aef__number_of(v + l->in[j], (aef_type)net->value[l->in[j]].type, i);
            int32_t one = (int32_t)sum; if (!aef__emit(f, look, &one, 1, out, i)) return 0; }
        return 1; }
    if (l->kind == AEF__LOOKUP) return aef__emit(f, l, in->s, shape.n, out, 0);
    if (l->kind == AEF__RESHAPE || l->kind == AEF__FLATTEN) memcpy(out->b, in->b, (size_t)in->n);
    if (l->kind == AEF__CONCAT) {
        uint64_t outer = 1, at = 0;
        for (int64_t i = 0; i < a[AEF__AXIS]; i++) outer = aef__mul(outer, (uint64_t)net->value[l->in[0]].shape[i]);
        if (a[AEF__AXIS] == 2 && made->axes == 3) outer = shape.h * shape.w; /* also with free sizes */
        for (uint64_t i = 0; i < outer; i++)
            for (int j = 0; j < l->n_in; j++) {
                uint64_t some = v[l->in[j]].n / outer; memcpy(out->b + at, v[l->in[j]].b + i * some, (size_t)some); at += some;
            } }
    if (l->kind == AEF__SLICE)
        for (uint64_t i = 0; i < shape.n; i++) out->b[i] = in->b[i / shape.c * in->c + (uint64_t)a[AEF__START] + i % shape.c];
    int moves = l->kind == AEF__UPSAMPLE || l->kind == AEF__PAD || l->kind == AEF__CROP || l->kind == AEF__MAX_POOL;
    for (uint64_t i = 0; moves && i < shape.n; i++) {
        int64_t y = (int64_t)(i / shape.c / shape.w), x = (int64_t)(i / shape.c % shape.w); uint64_t c = i % shape.c;
        if (l->kind == AEF__MAX_POOL) {
            int best = -1000, one;
            for (int64_t ky = 0; ky < a[AEF__SIZE]; ky++)
                for (int64_t kx = 0; kx < a[AEF__SIZE + 1]; kx++) {
                    uint64_t iy = (uint64_t)(y * a[AEF__STRIDES] + ky - border[0]),
                        ix = (uint64_t)(x * a[AEF__STRIDES + 1] + kx - border[2]);
                    if (iy >= in->h || ix >= in->w) continue;
                    one = aef__byte(type, in->b[(iy * in->w + ix) * in->c + c]); best = one > best ? one : best; }
            out->b[i] = (uint8_t)((unsigned)best & 255u); continue; }
        if (l->kind == AEF__UPSAMPLE) y /= a[AEF__STRIDES], x /= a[AEF__STRIDES + 1];
        else if (l->kind == AEF__PAD) y -= border[0], x -= border[2]; else y += border[0], x += border[2];
        int inside = y >= 0 && x >= 0 && (uint64_t)y < in->h && (uint64_t)x < in->w;
        out->b[i] = inside ? in->b[((uint64_t)y * in->w + (uint64_t)x) * in->c + c] : (uint8_t)((uint64_t)a[AEF__VALUE] & 255u);
    }
    return 1; }
/* The values of one row, with their shapes for a latent of h x w (free sizes) or the grids of passes. */
static aef__row_value *aef__row_values(aef_file *f, aef__net *net, uint64_t h, uint64_t w) {
    aef__row_value *v = (aef__row_value *)aef__new(f, net->given + net->n, sizeof *v);
    for (uint64_t i = 0; v && i < net->given + net->n; i++) {
        const aef__value *s = net->value + i; v[i].c = (uint64_t)s->shape[s->axes - 1];
        v[i].h = s->axes == 3 ? (uint64_t)s->shape[0] : 1, v[i].w = s->axes == 3 ? (uint64_t)s->shape[1] : 1;
        if (net == f->net + 1) {
            v[i].h = s->grid < 0 ? h : (h + 1 - (uint64_t)aef__phase[s->grid][0]) / 2;
            v[i].w = s->grid < 0 ? w : (w + 1 - (uint64_t)aef__phase[s->grid][1]) / 2;
        } else if (f->is_free) v[i].h *= h, v[i].w *= w;
        v[i].n = net != f->net + 1 && !f->is_free ? s->n : aef__mul(aef__mul(v[i].h, v[i].w), v[i].c); }
    return v; }
static void aef__drop_values(aef_file *f, const aef__net *net, aef__row_value *v) {
    for (uint64_t i = 0; v && i < net->given + net->n; i++) aef__drop(f, v[i].b), aef__drop(f, v[i].s);
    aef__drop(f, v); }
/* One row, whose numbers are in range: latents of h x w for an image of H x W, or the other way round. */
static int aef__run_row(aef_file *f, const uint8_t *in, uint64_t h, uint64_t w, uint64_t H, uint64_t W, uint8_t *out) {
    aef__net *net = f->net; if (!f->is_free) h = w = 1;
    if (f->opt.max_work && aef__mul(f->work, aef__mul(h, w)) > f->opt.max_work) return aef__over(f, "M7-1");
    aef__row_value *v = aef__row_values(f, net, h, w), *last = v + net->n;
    int ok = v && (v->b = (uint8_t *)aef__new(f, v->n, 1)) != NULL; uint64_t c = ok ? v->c : 1;
    for (uint64_t i = 0; ok && i < v->n; i++) { /* an image goes on with its last row and column */
        uint64_t y = i / c / v->w, x = i / c % v->w;
        if (f->is_free && !f->decodes) v->b[i] = in[((y < H ? y : H - 1) * W + (x < W ? x : W - 1)) * c + i % c];
        else v->b[i] = in[i]; }
    for (uint64_t k = 0; ok && k < net->n; k++) {
        ok = aef__run_layer(f, net, k, v);
        for (int i = 0; i < net->layer[k].n_in; i++) {
            aef__row_value *used = v + net->layer[k].in[i]; if (net->value[net->layer[k].in[i]].last_use != k + 1) continue;
            aef__drop(f, used->b), aef__drop(f, used->s); used->b = NULL, used->s = NULL; } }
    if (ok && f->is_free && f->decodes)
        for (uint64_t y = 0; y < H; y++) memcpy(out + y * W * last->c, last->b + y * last->w * last->c, (size_t)(W * last->c));
    else if (ok) memcpy(out, last->b, (size_t)last->n);
    aef__drop_values(f, net, v); return ok; }
static int aef__run_golden(aef_file *f) { /* M6-2 */
    for (uint64_t i = 0; i < f->n_golden; i++) {
        aef__tensor *in = f->tensors + f->golden[i][0], *want = f->tensors + f->golden[i][1];
        uint64_t rows = (uint64_t)in->shape[0], n = in->count / rows, m = want->count / rows;
        const int64_t *latent = f->decodes ? in->shape : want->shape, *image = f->decodes ? want->shape : in->shape;
        uint8_t *out = (uint8_t *)aef__new(f, m, 1); int ok = out != NULL, same = 1;
        for (uint64_t row = 0; ok && same && row < rows; row++) {
            ok = aef__run_row(f, in->data + row * n, (uint64_t)latent[1], (uint64_t)latent[2], (uint64_t)image[1],
                (uint64_t)image[2], out);
            same = !ok || !memcmp(out, want->data + row * m, (size_t)m); }
        aef__drop(f, out); if (!ok || !same) return ok ? aef__fail(f, AEF_GOLDEN, "M6-2", 0) : 0; }
    return 1; }
static int aef__end_package(aef_file *f) { /* steps 15 to 18 of model.md, section 1 */
    aef__value *last = f->net[0].value + f->net[0].n; if (!aef__bounds(f, f->net)) return 0;
    if (last->has_range && (last->lo < f->output.lo || last->hi > f->output.hi)) return aef__bad(f, "M4-6");
    for (uint64_t i = 0; i < 2 * f->n_golden; i++) {
        const aef__end *e = i < f->n_golden ? &f->input : &f->output;
        aef__tensor *t = f->tensors + f->golden[i % f->n_golden][i >= f->n_golden];
        for (uint64_t j = 0; e->type != AEF_F32 && j < t->count; j++)
            if (aef__item(t, j) < e->lo || aef__item(t, j) > e->hi) return aef__bad(f, "M6-1"); }
    if (f->has_prior && !aef__check_tables(f)) return 0;
    if (f->passes && !aef__bounds(f, f->net + 1)) return 0;
    for (uint64_t i = 1; f->passes && i < 2 * f->outputs_n; i += 2)
        if (f->net[1].value[f->outputs[i]].hi >= (int64_t)f->n_tables) return aef__bad(f, "M10-11");
    return f->exact && f->opt.validate ? (f->ready = aef__run_golden(f)) : 1; }
static uint64_t aef__pass_units(const aef_file *m, uint64_t h, uint64_t w, uint64_t lanes, int *too_many) { /* C6-8 */
    const aef__net *net = m->net + 1;
    uint64_t elements = 0, macs = 0, units = 10000 * net->n + 16 * h * w * (uint64_t)m->input.shape[2];
    for (uint64_t k = 0; k < net->n; k++) {
        const aef__value *v = net->value + net->given + k; const int *p = aef__phase[v->grid < 0 ? 0 : v->grid];
        uint64_t grid = v->grid < 0 ? h * w : (h + 1 - (uint64_t)p[0]) / 2 * ((w + 1 - (uint64_t)p[1]) / 2);
        elements = aef__add(elements, aef__mul(grid, (uint64_t)v->shape[2]));
        macs = aef__add(macs, aef__mul(net->layer[k].macs / (v->grid < 0 ? 4 : 1), grid)); }
    for (uint64_t i = 0; i < m->outputs_n; i++) {
        uint64_t grid = (h + 1 - (uint64_t)aef__phase[i % 4][0]) / 2 * ((w + 1 - (uint64_t)aef__phase[i % 4][1]) / 2);
        units += 512 * aef__ceil(grid * (uint64_t)m->group[i / 4], lanes); }
    if (elements > 536870912) *too_many = 1;
    return aef__add(units, aef__add(macs / 8, aef__mul(8, elements))); }
/* The symbols of one pass (section 10.1). */
static int aef__run_pass(aef_file *m, aef__rans *r, uint64_t pass, uint64_t first, aef__row_value *v, uint64_t w, uint8_t *out,
                         int *needless) {
    uint64_t g = pass / 4, channels = (uint64_t)m->group[g], all = (uint64_t)m->input.shape[2], n = m->n_symbols;
    const int *phase = aef__phase[pass % 4];
    const aef__row_value *mean = v + m->outputs[2 * pass], *pick = v + m->outputs[2 * pass + 1];
    aef_type type = (aef_type)m->net[1].value[m->outputs[2 * pass]].type; uint32_t equal[257];
    uint16_t *symbols = (uint16_t *)aef__new(m, mean->n, sizeof *symbols); uint64_t escapes = 0; if (!symbols) return 0;
    for (uint64_t i = 0; i <= n; i++) equal[i] = (uint32_t)((i << m->bits) / n);
    for (uint64_t i = 0; i < mean->n && !r->short_of_words; i++)
        symbols[i] = (uint16_t)aef__symbol(r, i % r->lanes, m->cum_tables + pick->b[i] * (n + 2), (uint32_t)n + 1);
    for (uint64_t i = 0; i < mean->n && !r->short_of_words; i++) {
        if (symbols[i] == n) {
            const uint32_t *cum = m->cum_tables + pick->b[i] * (n + 2);
            symbols[i] = (uint16_t)aef__symbol(r, escapes++ % r->lanes, equal, (uint32_t)n);
            if (cum[symbols[i] + 1] > cum[symbols[i]]) *needless = 1; }
        int64_t lo = m->input.lo, s = symbols[i] + aef__byte(type, mean->b[i]) - lo, size = (int64_t)n;
        uint8_t z = (uint8_t)((uint64_t)(lo + (s % size + size) % size) & 255u);
        uint64_t c = i % channels, y = i / channels / mean->w * 2 + (uint64_t)phase[0],
            x = i / channels % mean->w * 2 + (uint64_t)phase[1];
        for (uint64_t k = pass % 4 + 1; k < 5; k++) v[5 * g + k].b[(y * w + x) * channels + c] = z;
        out[(y * w + x) * all + first + c] = z; }
    aef__drop(m, symbols); return 1; }
/* One row of h x w by passes; each value is computed when a pass with symbols needs it. */
static int aef__decode_passes(aef_file *m, aef__rans *r, uint64_t h, uint64_t w, uint8_t *out, int *needless) {
    aef__net *net = m->net + 1; aef__row_value *v = aef__row_values(m, net, h, w);
    uint8_t *need = v ? (uint8_t *)aef__new(m, net->given + net->n, 1) : NULL; int ok = need != NULL; uint64_t first = 0;
    for (uint64_t i = 0; ok && i < net->given; i++) ok = (v[i].b = (uint8_t *)aef__new(m, v[i].n, 1)) != NULL;
    for (uint64_t pass = 0; ok && pass < m->outputs_n && !r->short_of_words; pass++) {
        const int64_t *pair = m->outputs + 2 * pass;
        if (v[pair[0]].n) {
            need[pair[0]] = need[pair[1]] = 1;
            for (uint64_t k = net->n; k--;)
                for (int i = 0; need[net->given + k] == 1 && i < net->layer[k].n_in; i++) need[net->layer[k].in[i]] |= 1;
            for (uint64_t k = 0; ok && k < net->n; k++)
                if (need[net->given + k] == 1) ok = aef__run_layer(m, net, k, v), need[net->given + k] = 3;
            ok = ok && aef__run_pass(m, r, pass, first, v, w, out, needless); }
        if (pass % 4 == 3) first += (uint64_t)m->group[pass / 4]; }
    aef__drop(m, need); aef__drop_values(m, net, v); return ok; }
/* ---- receipts (container.md, section 7) ---- */
typedef struct {
    uint64_t values, n; /* the row's first value in the block, and its number of values */
    uint32_t dims[8], image[3];
} aef__row_place;
/* Row i of a block; *entry and *first go on from the row before, or are 0. */
static void aef__place(const aef_file *f, const aef__block *b, uint64_t i, uint64_t *entry, uint64_t *first, uint64_t *values,
                       aef__row_place *p) {
    for (;; ++*entry) {
        uint64_t rows, n = aef__entry(f, b, *entry, &rows, p->dims, p->image);
        if (i < *first + rows) { p->n = n, p->values = *values + (i - *first) * n; return; }
        *first += rows, *values += rows * n; } }
/* What one row must be before it is computed: M3-12 (step 0), M4-7 (step 1). */
static int aef__check_row(aef_file *f, const aef__block *b, const aef__row_place *p, const uint8_t *values, int step) {
    const aef_file *m = f->decoder;
    for (uint64_t i = 0; step && i < p->n && m->input.type != AEF_F32; i++) {
        int v = aef__byte((aef_type)m->input.type, values[p->values + i]);
        if (v < m->input.lo || v > m->input.hi) return aef__fail(f, AEF_VALUE, "M4-7", aef__value_at(f, b, p->values + i)); }
    if (step || !m->is_free) return 1;
    uint64_t image = (uint64_t)p->image[0] * p->image[1] * (uint64_t)m->output.shape[2], at = aef__value_at(f, b, p->values);
    for (int i = 0; i < 2; i++)
        if (p->image[i] == 0 || aef__ceil(p->image[i], m->scale[i]) != p->dims[i]) return aef__fail(f, AEF_VALUE, "M3-12", at);
    return image > 1073741824 || p->n > 1073741824 ? aef__fail(f, AEF_LIMIT, "M3-12", at) : 1; }
static int aef__ready(aef_file *m) { return m->ready || (m->ready = aef__run_golden(m)); } /* M6-2 before its first use */
static int aef__pixels(aef_file *f, const aef__row_place *p, const uint8_t *values, uint8_t *out) {
    aef_file *m = f->decoder;
    if (aef__ready(m) && aef__run_row(m, values + p->values, p->dims[0], p->dims[1], p->image[0], p->image[1], out)) return 1;
    f->err = m->err, m->err.code = AEF_OK; f->err.inside = 1; return 0; }
/* Proves the runs of a block (C7-6), or the one run with row only, a number in the block. */
static int aef__prove(aef_file *f, aef__block *b, const uint8_t *values, uint64_t only) {
    uint64_t entry = 0, first = 0, before = 0;
    for (uint64_t row = 0, run = 0; row < b->rows.n_rows; run++) {
        uint64_t begin = row, pixels = 0, most = 0, keep[3] = {entry, first, before};
        aef__row_place p;
        for (; row < b->rows.n_rows; row++) {
            aef__place(f, b, row, &entry, &first, &before, &p);
            uint64_t each = (uint64_t)p.image[0] * p.image[1], bytes = aef__mul(each, p.image[2]);
            if (aef__run_room(f, row - begin, pixels, each) == 0) break;
            pixels += each, most = bytes > most ? bytes : most; }
        uint64_t end = row; if (only != UINT64_MAX && (only < begin || only >= end)) continue;
        for (int step = 0; step < 2; step++) {
            entry = keep[0], first = keep[1], before = keep[2];
            for (uint64_t i = begin; i < end; i++) {
                aef__place(f, b, i, &entry, &first, &before, &p); if (!aef__check_row(f, b, &p, values, step)) return 0; } }
        uint8_t digest[32], *out = (uint8_t *)aef__new(f, most, 1); aef__sha s; int ok = out != NULL; aef__sha_begin(&s);
        entry = keep[0], first = keep[1], before = keep[2];
        for (uint64_t i = begin; ok && i < end; i++) {
            aef__place(f, b, i, &entry, &first, &before, &p); ok = aef__pixels(f, &p, values, out);
            if (ok) aef__sha_add(&s, out, (uint64_t)p.image[0] * p.image[1] * p.image[2]); }
        aef__drop(f, out); if (!ok) return 0;
        aef__sha_end(&s, digest);
        if (memcmp(digest, f->data + b->receipts.payload + 32 * run, 32))
            return aef__fail(f, AEF_RECEIPT, "C7-6", b->receipts.payload + 32 * run);
        f->proved_from = b->rows.first_row + begin, f->proved_to = b->rows.first_row + end; }
    return 1; }
/* ---- chunks and trailer (sections 4, 7, 8 and 9) ---- */
/* The checksum of bytes that belong to chunk number of this file, or to its trailer. */
static uint32_t aef__crc_in(const aef_file *f, uint64_t number, const uint8_t *p, uint64_t n) {
    uint8_t front[8]; aef__put32(front, f->header_crc), aef__put32(front + 4, (uint32_t)number);
    return aef__crc(aef__crc(0, front, 8), p, n); }
static aef_file *aef__begin(const void *data, uint64_t bytes, const aef_options *options);
static int aef__forward(aef_file *f);
static int aef__tag(const aef__chunk *c, const char *tag) { return c->known && !memcmp(c->tag, tag, 4); }
/* A decoder that is at hand: C3-14 and C3-16. */
static int aef__fits(aef_file *f, const aef_file *m) {
    int ok = m->input.axes == f->axes && (m->input.type == f->values || (m->input.type == AEF_F32 && f->values <= AEF_BF16));
    for (uint64_t i = 0; ok && i < f->axes; i++) ok = m->input.shape[i] == f->dims[i];
    for (int i = 0; ok && i < 3; i++) ok = m->output.shape[i] == f->image[i];
    if (!ok) return aef__fail(f, AEF_HEADER, "C3-14", 24);
    return f->codec == 2 && !m->has_prior ? aef__fail(f, AEF_HEADER, "C3-16", 24) : 1; }
static int aef__read_inside(aef_file *f, const aef__chunk *c) { /* C7-4 */
    aef_options opt = f->opt; opt.max_bytes -= f->used, opt.decoder = NULL, opt.seek = 0;
    aef_file *m = aef__begin(f->data + c->payload, c->raw, &opt); if (!m) return aef__fail(f, AEF_LIMIT, "", c->payload);
    int ok = aef__read_preamble(m), latents = ok && !m->model; if (ok && !latents) ok = aef__forward(m);
    int other = latents || (ok && (!m->decodes || memcmp(aef_content_id(m), f->decoder_id, 32)));
    if (other) ok = aef__misfit(f, "C7-4", c->payload);
    else if (!ok) ok = aef__fail_in(f, m->err.code, m->err.rule, m->err.at, 1); else ok = aef__fits(f, m);
    if (!ok) { aef_close(m); return 0; }
    f->opt.max_bytes -= m->used; if (f->own_decoder) aef_close(f->decoder);
    f->decoder = m, f->own_decoder = 1; return 1; }
static int aef__read_chunk(aef_file *f, aef__chunk *c) { /* C4-1 to C4-5; 2 for a trailer */
    static const char tags[] = "dECoSIZEnAMerCPTfLDsROWSiNDXMANFTENS";
    uint64_t left = f->len - f->pos; const uint8_t *p = f->data + f->pos; memset(c, 0, sizeof *c);
    c->at = f->pos, c->number = f->n_chunks;
    if (!memcmp(p, "TAIL", left < 4 ? (size_t)left : 4)) return left < 64 ? aef__fail(f, AEF_TRUNCATED, "C9-1", f->len) : 2;
    if (left < 32) return aef__fail(f, AEF_TRUNCATED, "C4-1", f->len);
    if (aef__crc_in(f, c->number, p, 28) != aef__u32(p + 28)) return aef__fail(f, AEF_CHECKSUM, "C4-2", c->at + 28);
    for (int i = 0; i < 4; i++)
        if ((p[i] | 32u) < 'a' || (p[i] | 32u) > 'z' || (i == 2 && p[i] > 'Z')) return aef__misfit(f, "C4-3", c->at);
    memcpy(c->tag, p, 4);
    c->n_rows = aef__u32(p + 4), c->first_row = aef__u64(p + 8), c->stored = aef__u32(p + 16), c->raw = aef__u32(p + 20);
    if (c->raw < 1 || c->raw > 268435456) return aef__fail(f, c->raw ? AEF_LIMIT : AEF_STRUCTURE, "C4-4", c->at + 20);
    if (c->stored < 1 || c->stored > c->raw) return aef__misfit(f, "C4-4", c->at + 16);
    for (int i = 0; i < 36; i += 4) c->known |= !memcmp(c->tag, tags + i, 4);
    if (!(f->flags & 1u) && aef__tag(c, "SIZE")) c->known = 0;
    if (!c->known && c->tag[0] < 'a') return aef__fail(f, AEF_UNSUPPORTED, "C4-5", c->at);
    c->payload = c->at + 32;
    if (f->padded && (aef__tag(c, "ROWS") || aef__tag(c, "TENS"))) c->payload += (64 - c->payload % 64) % 64;
    return 1; }
static int aef__check_place(aef_file *f, aef__chunk *c) { /* C4-6 */
    aef__block *b = &f->next;
    int rows = aef__tag(c, "ROWS"), names = aef__tag(c, "nAMe"), receipts = aef__tag(c, "rCPT"), sizes = aef__tag(c, "SIZE");
    int waits = b->sizes.known || b->receipts.known || b->names.known, free_rows = f->flags & 1u, ok = !f->had_index;
    int of_model = aef__tag(c, "MANF") || aef__tag(c, "TENS");
    if (f->model) {
        if (c->known && !of_model) return aef__misfit(f, "C4-6", c->at);
        return (f->n_chunks == 0) == aef__tag(c, "MANF") ? 1 : aef__misfit(f, "M1-1", c->at); }
    if (of_model) ok = 0;
    if (!rows && !names && !receipts) ok = ok && !waits;
    if (aef__tag(c, "dECo")) ok = ok && !f->had_decoder && !f->had_rows && !(f->flags & 2u);
    if (rows || names || receipts) ok = ok && (!free_rows || b->sizes.known);
    if (receipts) ok = ok && !b->receipts.known && !b->names.known && f->receipts != 0 && !(f->flags & 2u);
    if (names) ok = ok && !b->names.known;
    if (rows || names) ok = ok && (f->receipts != 1 || b->receipts.known);
    if (rows || names || receipts || sizes) f->had_rows = 1;
    f->had_decoder |= aef__tag(c, "dECo"), f->had_index |= aef__tag(c, "iNDX");
    return ok ? 1 : aef__misfit(f, "C4-6", c->at); }
static int aef__check_counts(aef_file *f, aef__chunk *c) { /* C4-7 and C4-8 */
    aef__block *b = &f->next;
    int rows = aef__tag(c, "ROWS"), names = aef__tag(c, "nAMe"), receipts = aef__tag(c, "rCPT"), sizes = aef__tag(c, "SIZE");
    int fields = aef__tag(c, "fLDs");
    const aef__chunk *like[2] = {&b->receipts, &b->names};
    uint64_t raw = c->raw;
    if (sizes || (rows && !b->sizes.known)) {
        if (c->n_rows < 1) return aef__misfit(f, "C4-7", c->at + 4);
        if (c->first_row != f->rows) return aef__misfit(f, "C4-7", c->at + 8);
        for (int i = 0; rows && i < 2; i++)
            if (like[i]->known && (like[i]->n_rows != c->n_rows || like[i]->first_row != c->first_row))
                return aef__misfit(f, "C4-7", like[i]->at + (like[i]->n_rows != c->n_rows ? 4 : 8));
    } else if (b->sizes.known || !(names || receipts || fields)) {
        if (c->n_rows != b->sizes.n_rows) return aef__misfit(f, "C4-7", c->at + 4);
        if (c->first_row != (b->sizes.known ? b->sizes.first_row : 0)) return aef__misfit(f, "C4-7", c->at + 8); }
    if (rows) raw = b->sizes.known ? b->first_row : aef__mul(c->n_rows, f->row_values * f->width);
    if (receipts) {
        aef__block runs = *b; runs.rows = *c;
        raw = 32 * (b->sizes.known ? aef__count_runs(f, &runs) : aef__ceil(c->n_rows, 64)); }
    if (sizes && (raw % (4 + 4 * f->n_free) || raw / (4 + 4 * f->n_free) > c->n_rows)) raw = 0;
    if (raw != c->raw) return aef__misfit(f, "C4-8", c->at + 20);
    int plain = f->codec == 0 || !(rows || names || fields || aef__tag(c, "MANF") || aef__tag(c, "TENS"));
    return plain && c->stored != c->raw ? aef__misfit(f, "C4-8", c->at + 16) : 1; }
static int aef__check_fields(aef_file *f, const aef__chunk *c) { /* C22-1 and C22-2 */
    const aef__block *b = &f->next; int fields = aef__tag(c, "fLDs"), rows = aef__tag(c, "ROWS"), sizes = aef__tag(c, "SIZE");
    int of_rows = f->flags & 1u ? sizes : rows || aef__tag(c, "nAMe") || aef__tag(c, "rCPT");
    int first = of_rows && !b->receipts.known && !b->names.known; /* of the chunks of a ROWS, but for its fields */
    if ((b->fields.known && !b->sizes.known && !of_rows) || (first && f->fields == 1 && !b->fields.known) ||
        (fields && f->fields == 0)) return aef__misfit(f, "C22-1", c->at);
    if (fields && c->n_rows < 1) return aef__misfit(f, "C22-2", c->at + 4);
    if (fields && c->first_row != f->rows) return aef__misfit(f, "C22-2", c->at + 8);
    if (rows && b->fields.known && b->fields.n_rows != c->n_rows) return aef__misfit(f, "C22-2", b->fields.at + 4);
    if (rows) f->fields = b->fields.known;
    return 1; }
static int aef__read_rows(aef_file *f, aef__chunk *c) {
    aef__block *b = &f->next; uint64_t number = f->n_blocks;
    b->rows = *c, b->at = c->at, b->number = c->number, b->first_row = c->first_row;
    if (f->opt.seek) { f->blocks[number] = *b; memset(b, 0, sizeof *b); return 1; }
    const uint8_t *values = aef__block_values(f, number, b); if (!values && f->err.code) return 0;
    uint64_t w = aef__widths[f->values], n, at = 0;
    for (uint64_t i = 0; values && i < aef__entries(f, b); i++) {
        uint64_t some = aef__entry(f, b, i, &n, NULL, NULL) * w;
        if (!b->sizes.known) aef__sha_add(&f->content, values, n * some);
        for (uint64_t row = 0; b->sizes.known && row < n; row++, at += some) {
            aef__sha_add(&f->content, f->data + b->sizes.payload + i * (4 + 4 * f->n_free) + 4, 4 * f->n_free);
            aef__sha_add(&f->content, values + at, some); } }
    if (f->opt.validate && b->receipts.known && f->decoder && values && !aef__prove(f, b, values, UINT64_MAX)) return 0;
    if (f->receipts < 0) f->receipts = b->receipts.known;
    if (f->n_blocks == f->room_blocks) {
        uint64_t room = f->room_blocks ? 2 * f->room_blocks : 16;
        aef__block *more = (aef__block *)aef__new(f, room, sizeof *more); if (!more) return 0;
        if (f->n_blocks) memcpy(more, f->blocks, (size_t)f->n_blocks * sizeof *more);
        aef__drop(f, f->blocks); f->blocks = more, f->room_blocks = room; }
    f->blocks[f->n_blocks++] = *b; f->rows += c->n_rows; memset(b, 0, sizeof *b); return 1; }
static int aef__read_tensor(aef_file *f, aef__chunk *c) {
    void *fresh = NULL; if (f->n_got == f->n_tensors) return aef__misfit(f, "M1-3", c->at);
    aef__tensor *t = f->tensors + f->n_got++; uint8_t digest[32];
    if (c->raw != t->bytes) return aef__fail(f, AEF_MANIFEST, "M1-4", c->payload);
    if (!(t->data = aef__payload(f, c, aef__widths[t->type], &fresh))) return 0;
    aef_sha256(t->data, t->bytes, digest);
    if (memcmp(digest, t->sha, 32)) return aef__fail(f, AEF_MANIFEST, "M1-5", c->payload);
    for (uint64_t i = 0; i < t->count && t->type <= AEF_F16; i++) {
        int finite;
        (void)aef__widen_float((aef_type)t->type, aef__load((aef_type)t->type, t->data + i * aef__widths[t->type]), &finite);
        if (!finite) return aef__fail(f, AEF_MANIFEST, "M1-6", c->payload); }
    return 1; }
static int aef__check_index(aef_file *f, aef__chunk *c) { /* C8-1, forward */
    const uint8_t *p = f->data + c->payload; f->index_at = c->at;
    for (uint64_t i = 0; i < f->n_blocks || 24 * i < c->raw; i++, p += 24) {
        const aef__block *b = i < f->n_blocks ? f->blocks + i : NULL;
        if (!b || 24 * (i + 1) > c->raw || aef__u64(p) != b->at || aef__u64(p + 8) != b->first_row ||
            aef__u32(p + 16) != b->rows.n_rows || aef__u32(p + 20) != b->number)
            return aef__misfit(f, "C8-1", c->payload + 24 * i); }
    return 1; }
static int aef__chunk_payload(aef_file *f, aef__chunk *c) { /* C4-9 to C4-11, then by tag */
    void *fresh = NULL; int ok = 1;
    if (c->payload > f->len || c->stored > f->len - c->payload) return aef__fail(f, AEF_TRUNCATED, "C4-10", f->len);
    for (uint64_t i = c->at + 32; i < c->payload; i++) if (f->data[i]) return aef__misfit(f, "C4-9", i);
    if (aef__crc_in(f, c->number, f->data + c->payload, c->stored) != aef__u32(f->data + c->at + 24))
        return aef__fail(f, AEF_CHECKSUM, "C4-11", c->payload);
    if (aef__tag(c, "ROWS")) return aef__read_rows(f, c);
    if (aef__tag(c, "TENS")) return aef__read_tensor(f, c);
    if (aef__tag(c, "iNDX")) return aef__check_index(f, c);
    if (aef__tag(c, "dECo")) {
        f->inside = *c; if (f->codec == 2 || (f->opt.validate && !f->opt.seek)) return aef__read_inside(f, c); }
    if (aef__tag(c, "SIZE")) {
        f->next.sizes = *c, f->next.first_row = 0; /* first_row: the raw bytes of its rows, until the ROWS comes */
        return aef__check_sizes(f, c, &f->next.first_row); }
    if (aef__tag(c, "rCPT")) {
        f->next.receipts = *c;
        if (f->receipts < 0 && f->opt.validate && f->decoder && !f->decoder->exact) return aef__misfit(f, "C7-5", c->payload); }
    if (aef__tag(c, "nAMe")) {
        const uint8_t *p = aef__payload(f, c, 1, &fresh); ok = p && aef__check_names(f, p, c); aef__drop(f, fresh);
        f->next.names = *c; }
    if (aef__tag(c, "fLDs")) {
        const uint8_t *p = aef__payload(f, c, 1, &fresh); ok = p && aef__check_columns(f, p, c); aef__drop(f, fresh);
        f->next.fields = *c; }
    if (aef__tag(c, "MANF")) {
        f->manifest_at = c->payload, f->manifest_len = c->raw; if (c->raw > 1048576) return aef__over(f, "M1-1");
        ok = (f->manifest = aef__payload(f, c, 1, &fresh)) != NULL && aef__read_manifest(f); }
    return ok; }
static int aef__read_trailer(aef_file *f) {
    const uint8_t *p = f->data + f->pos; uint64_t at = f->trailer_at = f->pos; uint8_t digest[32];
    if (aef__crc_in(f, aef__u32(p + 4), p, 60) != aef__u32(p + 60)) return aef__fail(f, AEF_CHECKSUM, "C9-2", at + 60);
    if (f->opt.seek) return 1;
    if (f->next.sizes.known || f->next.receipts.known || f->next.names.known) return aef__misfit(f, "C4-6", at);
    if (f->next.fields.known) return aef__misfit(f, "C22-1", at);
    if (f->model && f->n_chunks == 0) return aef__misfit(f, "M1-1", at);
    if (aef__u32(p + 4) != f->n_chunks) return aef__misfit(f, "C9-3", at + 4);
    if (aef__u64(p + 8) != f->rows || (!f->model && f->rows == 0)) return aef__misfit(f, "C9-3", at + 8);
    if (aef__u64(p + 16) != f->index_at) return aef__misfit(f, "C9-4", at + 16);
    if (aef__u32(p + 24) != f->chain) return aef__fail(f, AEF_CONTENT, "C9-5", at + 24);
    if (f->n_got < f->n_tensors) return aef__misfit(f, "M1-3", at);
    if (f->model) memcpy(digest, aef__at(aef__get(f->header, "model")).p, 32); else aef__sha_end(&f->content, digest);
    if (!f->unknown && memcmp(digest, p + 28, 32)) return aef__fail(f, AEF_CONTENT, f->model ? "M1-2" : "C9-6", at + 28);
    return f->len - at > 64 ? aef__misfit(f, "C9-7", at + 64) : 1; }
static int aef__step(aef_file *f) { /* a chunk; 2 at the trailer */
    aef__chunk c; int what = aef__read_chunk(f, &c); if (what != 1) return what;
    if (!aef__check_place(f, &c) || (c.known && !aef__check_counts(f, &c))) return 0;
    if (!aef__check_fields(f, &c) || !aef__chunk_payload(f, &c)) return 0;
    f->chain = aef__crc(f->chain, f->data + c.at + 28, 4); f->pos = c.payload + c.stored, f->n_chunks++; return 1; }
static void aef__begin_content(aef_file *f) { /* the map in front of the content id, section 9 */
    static const char *const keys[7] = {"axis", "decoder", "dims", "foreign_decoder", "image", "scale", "shift"};
    const char *type = aef__type_names[f->values]; const uint8_t *d = aef__get(f->header, "described"), *v[7];
    uint8_t b[24] = {0x81};
    for (int i = 0; i < 7; i++) v[i] = i > 0 && i < 5 ? aef__get(f->header, keys[i]) : d ? aef__get(d, keys[i]) : NULL;
    if (aef__numbers(v[5]) < 2 && aef__numbers(v[6]) < 2) v[0] = NULL;
    for (int i = 0; i < 7; i++) b[0] = (uint8_t)(b[0] + (v[i] != NULL));
    aef__sha_begin(&f->content); aef__sha_add(&f->content, b, 1);
    for (int i = 0; i < 7; i++) {
        b[0] = (uint8_t)(0xa0 + strlen(keys[i])); memcpy(b + 1, keys[i], strlen(keys[i]));
        if (!v[i]) continue;
        aef__sha_add(&f->content, b, 1 + strlen(keys[i]));
        aef__sha_add(&f->content, v[i], (uint64_t)(aef__skip(v[i]) - v[i])); }
    memcpy(b, "\xa6values", 7); b[7] = (uint8_t)(0xa0 + strlen(type)); memcpy(b + 8, type, strlen(type));
    aef__sha_add(&f->content, b, 8 + strlen(type)); }
static int aef__forward(aef_file *f) { /* what follows the header, to the end */
    int what = 1; if (!f->model) aef__begin_content(f);
    while (what == 1) what = aef__step(f);
    return what && aef__read_trailer(f) && (!f->model || aef__end_package(f)); }
/* ---- a reader that seeks ---- */
static int aef__seek(aef_file *f) { /* trailer and index; 2 if there is no index */
    uint64_t first = f->pos; f->pos = f->len - first >= 64 ? f->len - 64 : f->len;
    if (f->len - f->pos < 64 || memcmp(f->data + f->pos, "TAIL", 4)) return aef__fail(f, AEF_TRUNCATED, "C9-1", f->len);
    if (!aef__read_trailer(f)) return 0;
    const uint8_t *p = f->data + f->pos;
    uint64_t chunks = aef__u32(p + 4), rows = aef__u64(p + 8), index_at = aef__u64(p + 16), before = 0, at = first;
    aef__chunk c; if (index_at == 0) return 2;
    if (index_at < first || index_at >= f->pos || chunks == 0) return aef__misfit(f, "C9-4", f->pos + 16);
    f->pos = index_at, f->n_chunks = chunks - 1; int what = aef__read_chunk(f, &c); if (!what) return 0;
    if (what == 2 || !aef__tag(&c, "iNDX")) return aef__misfit(f, "C9-4", f->trailer_at + 16);
    if (c.stored != c.raw) return aef__misfit(f, "C4-8", c.at + 16);
    if (c.stored > f->len - c.payload) return aef__fail(f, AEF_TRUNCATED, "C4-10", f->len);
    p = f->data + c.payload;
    if (aef__crc_in(f, c.number, p, c.raw) != aef__u32(f->data + c.at + 24))
        return aef__fail(f, AEF_CHECKSUM, "C4-11", c.payload);
    f->n_blocks = c.raw / 24; if (!(f->blocks = (aef__block *)aef__new(f, f->n_blocks, sizeof *f->blocks))) return 0;
    for (uint64_t i = 0; i < f->n_blocks; i++, p += 24) {
        aef__block *b = f->blocks + i;
        b->at = aef__u64(p), b->first_row = aef__u64(p + 8), b->rows.n_rows = aef__u32(p + 16), b->number = aef__u32(p + 20);
        int good = b->at >= at && b->at < index_at && b->first_row == before && b->rows.n_rows && (i == 0 ||
            b->number > b[-1].number);
        if (!good || b->number >= c.number) return aef__misfit(f, "C8-1", c.payload + 24 * i);
        before += b->rows.n_rows, at = b->at + 32; }
    if (c.raw % 24 || before != rows || rows == 0) return aef__misfit(f, "C8-1", c.payload + 24 * f->n_blocks);
    f->index_at = index_at, f->rows = rows; return 1; }
/* Looks at a ROWS of the index, and at what stands before it from where the ROWS before ends. */
static int aef__look(aef_file *f, uint64_t i) {
    aef__block *b = f->blocks + i, want = *b; if (!f->opt.seek || b->rows.payload) return 1;
    uint64_t count = f->n_blocks, rows = f->rows; int ok = 1; f->pos = 24 + (uint64_t)f->header_len, f->n_chunks = 0;
    if (i) { /* the header of the ROWS before tells its end */
        aef__chunk c; f->pos = b[-1].at, f->n_chunks = b[-1].number; int what = aef__read_chunk(f, &c); if (!what) return 0;
        if (what == 2 || !aef__tag(&c, "ROWS")) return aef__misfit(f, "C8-1", f->index_at);
        f->pos = c.payload + c.stored, f->n_chunks++;
        if (f->pos > want.at) return aef__misfit(f, "C8-1", f->index_at); }
    memset(&f->next, 0, sizeof f->next);
    f->rows = want.first_row, f->n_blocks = i, f->receipts = f->fields = -1, f->had_index = 0;
    f->had_decoder = f->had_rows = i > 0;
    while (ok == 1 && f->pos < want.at) ok = aef__step(f);
    if (ok == 1 && f->pos == want.at && f->n_chunks == want.number) ok = aef__step(f);
    else if (ok) ok = aef__misfit(f, "C8-1", f->index_at);
    if (ok == 1 && (b->rows.n_rows != want.rows.n_rows || !b->rows.payload)) ok = aef__misfit(f, "C8-1", f->index_at);
    f->n_blocks = count, f->rows = rows; return ok == 1; }
/* ---- what callers see ---- */
static void *aef__malloc(void *user, size_t bytes) { return (void)user, malloc(bytes); }
static void aef__free(void *user, void *block) { (void)user, free(block); }
static aef_file *aef__begin(const void *data, uint64_t bytes, const aef_options *options) {
    aef_options opt; memset(&opt, 0, sizeof opt); if (options) opt = *options;
    if (!opt.alloc || !opt.release) opt.alloc = aef__malloc, opt.release = aef__free;
    if (!opt.max_bytes) opt.max_bytes = (uint64_t)1 << 30;
    aef_file *f = (aef_file *)opt.alloc(opt.user, sizeof *f); if (!f) return NULL;
    memset(f, 0, sizeof *f); f->opt = opt, f->data = bytes ? (const uint8_t *)data : (const uint8_t *)"", f->len = bytes;
    f->receipts = f->fields = -1, f->err.rule = "", f->cached = UINT64_MAX; return f; }
aef_file *aef_open(const void *data, uint64_t bytes, const aef_options *options) {
    aef_file *f = aef__begin(data, bytes, options), *m = options ? options->decoder : NULL;
    if (!f || !aef__read_preamble(f)) return f;
    if (m && !f->model && f->decoder_id) {
        if (!m->model || m->err.code || !m->decodes || memcmp(aef_content_id(m), f->decoder_id, 32))
            (void)aef__fail(f, AEF_DECODER_MISMATCH, "", 24);
        else if (aef__fits(f, m)) f->decoder = m;
        if (f->err.code) return f; }
    if (f->opt.seek && !f->model) {
        uint64_t begin = f->pos; int what = aef__seek(f);
        if (what == 1 && f->codec == 2) (void)aef__look(f, 0); /* with the decoder that is inside */
        if (what != 2) return f;
        f->pos = begin; }
    f->opt.seek = 0; (void)aef__forward(f); return f; }
void aef_close(aef_file *f) {
    if (!f) return;
    if (f->own_decoder) aef_close(f->decoder);
    while (f->memory) aef__drop(f, f->memory + 1);
    f->opt.release(f->opt.user, f); }
const aef_error *aef_failed(const aef_file *f) { return f->err.code ? &f->err : NULL; }
const char *aef_code_name(aef_code code) {
    static const char *const names[19] = {
        "ok", "not-aef", "unsupported", "truncated", "checksum", "header", "structure", "limit", "compression", "value",
        "content", "receipt", "names", "fields", "manifest", "golden", "decoder-missing", "decoder-mismatch", "usage"};
    return names[code]; }
int aef_is_model(const aef_file *f) { return f->model; }
int aef_minor(const aef_file *f) { return f->data[9]; }
const uint8_t *aef_header(const aef_file *f, uint32_t *bytes) { return *bytes = f->header_len, f->header; }
const uint8_t *aef_content_id(const aef_file *f) { return f->data + f->trailer_at + 28; }
uint64_t aef_chunk_count(const aef_file *f) { return aef__u32(f->data + f->trailer_at + 4); }
int aef_has_index(const aef_file *f) { return f->index_at != 0; }
uint64_t aef_row_count(const aef_file *f) { return f->rows; }
aef_type aef_values_type(const aef_file *f) { return (aef_type)f->values; }
int aef_axes(const aef_file *f) { return (int)f->axes; }
uint64_t aef_block_count(const aef_file *f) { return f->n_blocks; }
int aef_values_known(const aef_file *f) { return !f->unknown; }
const uint8_t *aef_manifest(const aef_file *f, uint32_t *bytes) { return *bytes = (uint32_t)f->manifest_len, f->manifest; }
int aef_computes(const aef_file *f) { return f->model && f->exact; }
uint64_t aef_work(const aef_file *f) { return f->work; }
/* The block of a row, looked at; NULL: *code tells. */
static aef__block *aef__find(aef_file *f, uint64_t row, aef__row_place *p, uint64_t *number, aef_code *code) {
    uint64_t lo = 0, hi = f->n_blocks, entry = 0, first = 0, values = 0;
    *code = f->err.code ? f->err.code : AEF_USAGE; if (f->err.code || f->model || row >= f->rows) return NULL;
    while (hi - lo > 1) {
        uint64_t middle = lo + (hi - lo) / 2; if (f->blocks[middle].first_row <= row) lo = middle; else hi = middle; }
    if (!aef__look(f, *number = lo)) { *code = f->err.code; return NULL; }
    aef__place(f, f->blocks + lo, row - f->blocks[lo].first_row, &entry, &first, &values, p);
    *code = AEF_OK; return f->blocks + lo; }
aef_code aef_row_shape(aef_file *f, uint64_t row, uint32_t *dims, uint32_t *image) {
    aef__row_place p; aef_code code; uint64_t number; if (!aef__find(f, row, &p, &number, &code)) return code;
    for (uint64_t i = 0; dims && i < f->axes; i++) dims[i] = p.dims[i];
    for (int i = 0; image && i < 3; i++) image[i] = p.image[i];
    return AEF_OK; }
aef_code aef_row(aef_file *f, uint64_t row, void *out, uint64_t *bytes) {
    aef__row_place p; aef_code code; uint64_t number, room = *bytes, w; aef__block *b = aef__find(f, row, &p, &number, &code);
    if (!b) return code;
    w = aef__widths[f->values], *bytes = p.n * w; if (!out) return AEF_OK;
    if (room < *bytes) return AEF_USAGE;
    const uint8_t *values = aef__block_values(f, number, b);
    if (!values) return f->err.code ? f->err.code : AEF_DECODER_MISSING;
    memcpy(out, values + p.values * w, (size_t)*bytes); return AEF_OK; }
aef_code aef_pixels(aef_file *f, uint64_t row, void *out, uint64_t *bytes) {
    aef__row_place p; aef_code code; uint64_t number, room = *bytes; aef__block *b = aef__find(f, row, &p, &number, &code);
    if (!b) return code;
    *bytes = aef__mul((uint64_t)p.image[0] * p.image[1], p.image[2]); if (!out) return AEF_OK;
    if (room < *bytes) return AEF_USAGE;
    if (!f->decoder && f->inside.known && !aef__read_inside(f, &f->inside)) return f->err.code;
    if (!f->decoder) return AEF_DECODER_MISSING;
    if (!f->decoder->exact) return AEF_UNSUPPORTED;
    const uint8_t *values = aef__block_values(f, number, b);
    if (!values) return f->err.code ? f->err.code : AEF_DECODER_MISSING;
    if (b->receipts.known && (row < f->proved_from || row >= f->proved_to) && !aef__prove(f, b, values,
        row - b->first_row)) return f->err.code;
    if (!aef__check_row(f, b, &p, values, 0) || !aef__check_row(f, b, &p, values, 1)) return f->err.code;
    return aef__pixels(f, &p, values, (uint8_t *)out) ? AEF_OK : f->err.code; }
/* The raw payload of a chunk of block number, kept until that of another block is asked for. */
static const uint8_t *aef__keep(aef_file *f, aef__kept *k, const aef__chunk *c, uint64_t number) {
    if (k->block == number + 1) return k->p;
    aef__drop(f, k->memory); k->p = aef__payload(f, c, 1, &k->memory); k->block = k->p ? number + 1 : 0; return k->p; }
aef_code aef_name(aef_file *f, uint64_t row, const char *key, const uint8_t **value, uint32_t *bytes) {
    aef__row_place p; aef_code code; uint64_t number; aef__block *b = aef__find(f, row, &p, &number, &code);
    *value = NULL, *bytes = 0; if (!b || !b->names.known) return code;
    const uint8_t *map = aef__keep(f, &f->names, &b->names, number), *list; if (!map) return f->err.code;
    if (!(list = aef__get(map, key))) return AEF_OK;
    list = aef__at(list).p; for (uint64_t i = b->first_row; i < row; i++) list = aef__skip(list);
    *value = list, *bytes = (uint32_t)(aef__skip(list) - list); return AEF_OK; }
aef_code aef_field_of(aef_file *f, uint64_t row, uint64_t number, aef_field *field) {
    aef__row_place place; aef_code code; uint64_t block, each = 0; aef__block *b = aef__find(f, row, &place, &block, &code);
    if (!b || !b->fields.known) return b ? AEF_USAGE : code;
    const uint8_t *p = aef__keep(f, &f->columns, &b->fields, block), *column, *next; if (!p) return f->err.code;
    aef__token map = aef__at(p + 4); if (number >= map.n) return AEF_USAGE;
    column = p + 4 + aef__u32(p);
    for (uint64_t i = 0; aef__read_field(&map.p, field, &each) && i < number; i++)
        column += aef__column(column, UINT64_MAX, b->rows.n_rows, each);
    next = column + (each ? 0 : 4 * (uint64_t)b->rows.n_rows);
    for (uint64_t i = 0; i <= row - b->first_row; i++) aef__field_value(column, i, each, &next, field);
    return AEF_OK; }
aef_code aef_block(const aef_file *f, uint64_t block, uint64_t *first_row, uint32_t *n_rows, const uint8_t **sizes,
    uint64_t *sizes_bytes, const uint8_t **receipts, uint64_t *receipts_bytes) {
    if (block >= f->n_blocks || !f->blocks[block].rows.payload) return AEF_USAGE;
    const aef__block *b = f->blocks + block;
    *first_row = b->first_row, *n_rows = b->rows.n_rows;
    *sizes = f->data + b->sizes.payload, *sizes_bytes = b->sizes.raw;
    *receipts = f->data + b->receipts.payload, *receipts_bytes = b->receipts.raw; return AEF_OK; }
aef_code aef_run(aef_file *f, const void *in, uint64_t in_bytes, const uint32_t *latent, const uint32_t *image, void *out,
    uint64_t *bytes) {
    const uint8_t *x = (const uint8_t *)in;
    uint64_t room = *bytes, sizes[2][3] = {{1, 1, 0}, {1, 1, 0}}; /* input, output */
    if (f->err.code) return f->err.code;
    if (!f->model || (f->is_free && (!latent || !image))) return AEF_USAGE;
    if (!f->exact) return AEF_UNSUPPORTED;
    for (int i = 0; i < 2 && f->is_free; i++) {
        sizes[f->decodes ? 0 : 1][i] = latent[i], sizes[f->decodes ? 1 : 0][i] = image[i];
        if (image[i] == 0 || aef__ceil(image[i], f->scale[i]) != latent[i]) return AEF_VALUE; }
    for (int e = 0; e < 2; e++) {
        const aef__end *end = e ? &f->output : &f->input;
        sizes[e][2] = f->is_free ? (uint64_t)end->shape[2] : aef__volume(end->shape, end->axes);
        if (aef__mul(aef__mul(sizes[e][0], sizes[e][1]), sizes[e][2]) > 1073741824) return AEF_LIMIT; }
    *bytes = sizes[1][0] * sizes[1][1] * sizes[1][2]; if (!out) return AEF_OK;
    if (in_bytes != sizes[0][0] * sizes[0][1] * sizes[0][2] || room < *bytes) return AEF_USAGE;
    for (uint64_t i = 0; i < in_bytes; i++) {
        int v = aef__byte((aef_type)f->input.type, x[i]); if (v < f->input.lo || v > f->input.hi) return AEF_VALUE; }
    if (aef__ready(f) && aef__run_row(f, x, latent ? latent[0] : 1, latent ? latent[1] : 1, image ? image[0] : 1,
        image ? image[1] : 1, (uint8_t *)out)) return AEF_OK;
    aef_code code = f->err.code; (void)aef__fail(f, AEF_OK, "", 0); return code; }
#endif /* AEF_IMPLEMENTATION */
