/* Round trips over one connection of libcurl: curl_client URL CA_FILE. For each line of input, a
 * number, it makes so many and prints the nanoseconds they took. The TLS library is that of the
 * libcurl it is linked with. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t discard(char *data, size_t size, size_t count, void *unused) {
    return size * count;
}

static long long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **words) {
    if (count != 3)
        return 2;
    char body[65], line[32];
    memset(body, 'q', sizeof body);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(0, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_URL, words[1]);
    curl_easy_setopt(curl, CURLOPT_CAINFO, words[2]);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 64L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    while (fgets(line, sizeof line, stdin)) {
        long long began = now_ns();
        for (int turn = atoi(line); turn > 0; turn--) {
            CURLcode code = curl_easy_perform(curl);
            if (code != CURLE_OK) {
                fprintf(stderr, "%s\n", curl_easy_strerror(code));
                return 1;
            }
        }
        printf("%lld\n", now_ns() - began);
        fflush(stdout);
    }
    curl_easy_cleanup(curl);
    return 0;
}
