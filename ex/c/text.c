#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) abort();
    return memory;
}

text text_copy(const char *string) {
    text copy = {.len = strlen(string)};
    copy.ptr = allocate(copy.len, 1);
    memcpy(copy.ptr, string, copy.len);
    return copy;
}

text text_join(const text *part, ...) {
    va_list parts, again;
    va_start(parts, part);
    va_copy(again, parts);
    text joined = {0};
    for (const text *each = part; each != NULL; each = va_arg(parts, const text *))
        joined.len += each->len;
    va_end(parts);

    joined.ptr = allocate(joined.len, 1);
    uint8_t *end = joined.ptr;
    for (const text *each = part; each != NULL; each = va_arg(again, const text *)) {
        if (each->len > 0) memcpy(end, each->ptr, each->len);
        end += each->len;
    }
    va_end(again);
    return joined;
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

text text_trim(text whole) {
    while (whole.len > 0 && is_space(whole.ptr[0])) whole.ptr++, whole.len--;
    while (whole.len > 0 && is_space(whole.ptr[whole.len - 1])) whole.len--;
    return whole;
}

bool text_equal(text left, text right) {
    return left.len == right.len && text_starts_with(left, right);
}

bool text_starts_with(text whole, text prefix) {
    if (prefix.len == 0) return true;
    return whole.len >= prefix.len && memcmp(whole.ptr, prefix.ptr, prefix.len) == 0;
}
