/* Prints the rows of a file: cc -std=c99 -Itools/c -o show_rows examples/show_rows.c && ./show_rows FILE.aef */
#include <stdio.h>

#define AEF_IMPLEMENTATION
#include "aef.h"

int main(int argc, char **argv) {
    static unsigned char data[1 << 24], row[1 << 20];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) return fprintf(stderr, "usage: show_rows FILE.aef\n"), 2;
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);

    aef_file *f = aef_open(data, size, NULL);
    const aef_error *e = f ? aef_failed(f) : NULL;
    if (e) fprintf(stderr, "%s: %s %s at byte %llu\n", argv[1], aef_code_name(e->code), e->rule, (unsigned long long)e->at);
    for (uint64_t i = 0; f && !e && i < aef_row_count(f); i++) {
        uint64_t bytes = sizeof row, step = aef_type_bytes(aef_values_type(f));
        if (aef_row(f, i, row, &bytes) != AEF_OK) return fprintf(stderr, "row %llu cannot be read\n", (unsigned long long)i), 1;
        for (uint64_t at = 0; at < bytes; at += step) printf("%s%.9g", at ? " " : "", aef_number(aef_values_type(f), row + at));
        printf("\n");
    }
    aef_close(f);
    return f && !e ? 0 : 1;
}
