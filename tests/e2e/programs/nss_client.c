/* HTTPS by NSS: libcurl with the NSS backend. usage: nss_client CA_FILE URL BODY_FILE TIMES */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **words) {
    if (count != 5 || !strstr(curl_version(), "NSS"))
        return 2;
    FILE *file = fopen(words[3], "rb");
    if (!file)
        return 2;
    static char body[4 << 20];
    long size = (long)fread(body, 1, sizeof body, file);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(0, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_CAINFO, words[1]);
    curl_easy_setopt(curl, CURLOPT_URL, words[2]);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, size);
    for (int turn = 0; turn < atoi(words[4]); turn++) {
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) {
            fprintf(stderr, "%s\n", curl_easy_strerror(code));
            return 1;
        }
    }
    curl_easy_cleanup(curl);
    return 0;
}
