/* Runs aef.h over files and says as lines of JSON what it found: tests/c compares that with spec/vectors.
 *
 * Commands on standard input, one a line; one line of JSON for each:
 *   check FILE                      as a reader, as a validator, and, if it is good, all of it
 *   run FILE h w H W HEX            one row through a package; sizes 0 where they are fixed
 *   pixels FILE DECODER ROW         one row of latents to pixels; DECODER "-" if it is inside
 *   decode FILE OUT                 all rows to pixels, by the decoder inside, into the file OUT; with the processor's time
 *   starve FILE                     once with each allocation failing
 */
#include <stdio.h>
#include <time.h>

#define AEF_IMPLEMENTATION
#include "aef.h"

static unsigned char *read_file(const char *path, uint64_t *bytes) {
    FILE *file = fopen(path, "rb");
    unsigned char *data = NULL;
    long size;
    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    data = (unsigned char *)malloc((size_t)size + (size == 0)); /* no byte more: a sanitizer sees what is read behind the end */
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) exit(2);
    fclose(file);
    *bytes = (uint64_t)size;
    return data;
}

static void hex(const char *key, const uint8_t *p, uint64_t n) {
    if (key) printf("\"%s\": ", key);
    putchar('"');
    for (uint64_t i = 0; i < n; i++) printf("%02x", p[i]);
    putchar('"');
}

static void verdict(const char *who, const aef_file *f) {
    const aef_error *e = aef_failed(f);
    printf("\"%s\": ", who);
    if (!e) printf("null, ");
    else printf("{\"code\": \"%s\", \"rule\": \"%s\", \"at\": %llu, \"inside\": %d}, ", aef_code_name(e->code), e->rule,
                (unsigned long long)e->at, e->inside);
}

static unsigned char *row_of(aef_file *f, uint64_t row, uint64_t *bytes) {
    unsigned char *out = NULL;
    *bytes = 0;
    if (aef_row(f, row, NULL, bytes) == AEF_OK) out = (unsigned char *)malloc((size_t)*bytes + 1);
    if (out && aef_row(f, row, out, bytes) == AEF_OK) return out;
    free(out);
    return NULL;
}

static void names(aef_file *f) {
    static const char *const keys[3] = {"labels", "names", "sources"};
    printf(", \"names\": {");
    for (int k = 0; k < 3; k++) {
        printf("%s\"%s\": [", k ? "], " : "", keys[k]);
        for (uint64_t row = 0; row < aef_row_count(f); row++) {
            const uint8_t *value;
            uint32_t n;
            if (aef_name(f, row, keys[k], &value, &n) != AEF_OK) exit(3);
            if (row) putchar(',');
            hex(NULL, value, n);
        }
    }
    printf("]}, ");
}

/* Of each row its fields: name, type, sizes and value. */
static void fields(const char *key, aef_file *f) {
    printf("\"%s\": [", key);
    for (uint64_t row = 0; row < aef_row_count(f); row++) {
        aef_field field;
        aef_code code;
        printf("%s", row ? ", [" : "[");
        for (uint64_t i = 0; (code = aef_field_of(f, row, i, &field)) == AEF_OK; i++) {
            printf("%s", i ? ", [" : "[");
            hex(NULL, (const uint8_t *)field.name, field.name_bytes), printf(", \"%s\", [", field.type);
            for (uint32_t k = 0; k < field.axes; k++) printf("%s%u", k ? ", " : "", (unsigned)field.sizes[k]);
            printf("], ");
            if (field.value) hex(NULL, field.value, field.bytes), printf("]");
            else printf("null]");
        }
        if (code != AEF_USAGE) exit(3);
        printf("]");
    }
    printf("], ");
}

/* All rows forward; the same rows backwards by a reader that seeks. */
static void latents(aef_file *f, const unsigned char *data, uint64_t bytes) {
    aef_options seeking;
    memset(&seeking, 0, sizeof seeking);
    seeking.seek = 1;
    aef_file *seeker = aef_open(data, bytes, &seeking);
    uint64_t n, m, total = 0, rows = aef_row_count(f);
    uint8_t digest[32], *all = NULL;
    int same = aef_row_count(seeker) == rows && !aef_failed(seeker), known = aef_values_known(f);
    for (uint64_t row = 0; known && row < rows; row++) {
        unsigned char *one = row_of(f, row, &n);
        if (!one || !(all = (uint8_t *)realloc(all, (size_t)(total + n)))) exit(3);
        memcpy(all + total, one, (size_t)n);
        free(one), total += n;
    }
    uint64_t end = total;
    for (uint64_t row = rows; known && row-- > 0;) {
        unsigned char *one = row_of(seeker, row, &m);
        if (!one || m > end || memcmp(one, all + end - m, (size_t)m)) same = 0;
        else end -= m;
        free(one);
    }
    aef_sha256(all, total, digest);
    printf("\"known\": %d, \"seek_same\": %d, \"type\": %d, \"n_rows\": %llu, ", known, same && end == 0, (int)aef_values_type(f),
           (unsigned long long)rows);
    hex("values_sha256", digest, 32), printf(", ");
    hex("values_hex", all, total < 2048 ? total : 0);
    free(all);
    names(f);
    fields("fields", f), fields("seek_fields", seeker);
    aef_close(seeker);
    printf("\"blocks\": [");
    for (uint64_t i = 0; i < aef_block_count(f); i++) {
        uint64_t first, sizes_n, receipts_n;
        uint32_t count;
        const uint8_t *sizes, *receipts;
        if (aef_block(f, i, &first, &count, &sizes, &sizes_n, &receipts, &receipts_n) != AEF_OK) exit(3);
        printf("%s[%llu, %u, ", i ? ", " : "", (unsigned long long)first, (unsigned)count);
        hex(NULL, sizes, sizes_n), printf(", "), hex(NULL, receipts, receipts_n), printf("]");
    }
    printf("], ");
}

static void check(const char *path) {
    uint64_t bytes;
    uint32_t n;
    unsigned char *data = read_file(path, &bytes);
    aef_options validator;
    memset(&validator, 0, sizeof validator);
    validator.validate = 1;
    aef_file *reader = aef_open(data, bytes, NULL), *f = aef_open(data, bytes, &validator);
    if (!reader || !f) exit(3);
    printf("{");
    verdict("reader", reader), verdict("validator", f);
    if (!aef_failed(f)) {
        const uint8_t *p = aef_header(f, &n);
        hex("header", p, n), printf(", ");
        hex("content_id", aef_content_id(f), 32), printf(", ");
        printf("\"n_chunks\": %llu, \"has_index\": %d, ", (unsigned long long)aef_chunk_count(f), aef_has_index(f));
        if (aef_is_model(f)) {
            p = aef_manifest(f, &n);
            hex("manifest", p, n);
            printf(", \"computes\": %d, \"work\": %llu, ", aef_computes(f), (unsigned long long)aef_work(f));
        } else latents(f, data, bytes);
    }
    printf("\"end\": 0}\n");
    aef_close(f), aef_close(reader), free(data);
}

static void run(char *arguments) {
    char path[1024];
    unsigned sizes[4];
    int used = 0;
    uint64_t bytes, n = 0, m = 0;
    if (sscanf(arguments, "%1023s %u %u %u %u %n", path, sizes, sizes + 1, sizes + 2, sizes + 3, &used) != 5) exit(2);
    const char *text = arguments + used;
    size_t digits = strlen(text) / 2;
    unsigned char *data = read_file(path, &bytes), *in = (unsigned char *)malloc(digits + 1), *out = NULL;
    uint32_t latent[2] = {sizes[0], sizes[1]}, image[2] = {sizes[2], sizes[3]};
    for (; n < digits; n++) {
        unsigned byte;
        if (sscanf(text + 2 * n, "%2x", &byte) != 1) exit(2);
        in[n] = (unsigned char)byte;
    }
    aef_file *f = aef_open(data, bytes, NULL);
    const uint32_t *l = sizes[0] ? latent : NULL, *i = sizes[0] ? image : NULL;
    aef_code code = aef_run(f, in, n, l, i, NULL, &m);
    if (code == AEF_OK && (out = (unsigned char *)malloc((size_t)m + 1)) != NULL) code = aef_run(f, in, n, l, i, out, &m);
    printf("{\"code\": \"%s\", ", aef_code_name(code));
    hex("out", out, code == AEF_OK ? m : 0), printf("}\n");
    aef_close(f), free(data), free(in), free(out);
}

static void pixels(char *arguments) {
    char path[1024], decoder[1024];
    unsigned long long row;
    uint64_t bytes, decoder_bytes, n = 0;
    if (sscanf(arguments, "%1023s %1023s %llu", path, decoder, &row) != 3) exit(2);
    unsigned char *data = read_file(path, &bytes), *package = NULL, *out = NULL;
    aef_options options;
    memset(&options, 0, sizeof options);
    if (strcmp(decoder, "-")) options.decoder = aef_open(package = read_file(decoder, &decoder_bytes), decoder_bytes, NULL);
    else options.validate = 1;
    aef_file *f = aef_open(data, bytes, &options);
    aef_code code = aef_failed(f) ? aef_failed(f)->code : aef_pixels(f, row, NULL, &n);
    if (code == AEF_OK && (out = (unsigned char *)malloc((size_t)n + 1)) != NULL) code = aef_pixels(f, row, out, &n);
    printf("{\"code\": \"%s\", ", aef_code_name(code));
    hex("out", out, code == AEF_OK ? n : 0), printf("}\n");
    aef_close(f), aef_close(options.decoder), free(data), free(package), free(out);
}

/* Opened without the checks of a validator: the golden set is tried before the first pixel all the same. */
static void decode(char *arguments) {
    char path[1024], to[1024];
    uint64_t bytes, n = 0, row = 0;
    if (sscanf(arguments, "%1023s %1023s", path, to) != 2) exit(2);
    unsigned char *data = read_file(path, &bytes), *out = NULL;
    FILE *file = fopen(to, "wb");
    clock_t begin = clock();
    aef_file *f = aef_open(data, bytes, NULL);
    aef_code code = aef_failed(f) ? aef_failed(f)->code : AEF_OK;
    for (; file && code == AEF_OK && row < aef_row_count(f); row++) {
        if ((code = aef_pixels(f, row, NULL, &n)) != AEF_OK) break;
        if (!(out = (unsigned char *)realloc(out, (size_t)n + 1))) exit(3);
        if ((code = aef_pixels(f, row, out, &n)) == AEF_OK && fwrite(out, 1, (size_t)n, file) != (size_t)n) exit(2);
    }
    printf("{\"code\": \"%s\", \"rows\": %llu, \"seconds\": %.6f}\n", aef_code_name(code), (unsigned long long)row,
           (double)(clock() - begin) / CLOCKS_PER_SEC);
    if (!file || fclose(file)) exit(2);
    aef_close(f), free(data), free(out);
}

static long left; /* allocations that still work */

static void *allocate(void *user, size_t bytes) { return (void)user, left-- > 0 ? malloc(bytes) : NULL; }
static void release(void *user, void *block) { (void)user, free(block); }

static void starve(const char *path) {
    uint64_t bytes;
    unsigned char *data = read_file(path, &bytes);
    aef_options options;
    memset(&options, 0, sizeof options);
    options.alloc = allocate, options.release = release, options.validate = 1;
    long n = 0, refused = 0;
    for (int going = 1; going && n < 2000; n++) {
        left = n;
        aef_file *f = aef_open(data, bytes, &options);
        const aef_error *e = f ? aef_failed(f) : NULL;
        going = left < 0;
        if (going && f && !(e && e->code == AEF_LIMIT && e->rule[0] == 0)) exit(3);
        refused += going;
        aef_close(f);
    }
    printf("{\"allocations\": %ld, \"refused\": %ld}\n", n - 1, refused);
    free(data);
}

int main(void) {
    static char line[1 << 22];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!strncmp(line, "check ", 6)) check(line + 6);
        else if (!strncmp(line, "run ", 4)) run(line + 4);
        else if (!strncmp(line, "pixels ", 7)) pixels(line + 7);
        else if (!strncmp(line, "decode ", 7)) decode(line + 7);
        else if (!strncmp(line, "starve ", 7)) starve(line + 7);
        else return 2;
        fflush(stdout);
    }
    return 0;
}
