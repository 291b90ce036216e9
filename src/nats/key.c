/* SPDX-License-Identifier: MIT */
/*
 * nkeys: an Ed25519 key as text is base32 of a byte that tells the role (five bits, so that the
 * text starts with the role's letter), the key, and a CRC-16 (XMODEM, little-endian) of both.
 */
#include "nats/auth.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define TEXT_SIZE 56
#define RAW_SIZE 35
#define SIGNATURE_SIZE 64

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static uint16_t crc16(const uint8_t *at, size_t size)
{
    unsigned crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned)at[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
        crc &= 0xffff;
    }
    return (uint16_t)crc;
}

static bool decode(const char *text, uint8_t raw[static RAW_SIZE])
{
    unsigned bits = 0, held = 0;
    size_t out = 0;
    for (size_t i = 0; i < TEXT_SIZE; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(alphabet, text[i]);
        if (digit == NULL)
            return false;
        bits = (bits << 5 | (unsigned)(digit - alphabet)) & 0xffff;
        held += 5;
        if (held >= 8) {
            held -= 8;
            raw[out++] = (uint8_t)(bits >> held);
        }
    }
    return text[TEXT_SIZE] == '\0' && out == RAW_SIZE;
}

bool nats_key_decode(const char *text, uint8_t key[static NATS_KEY_BYTES])
{
    uint8_t raw[RAW_SIZE];
    if (!decode(text, raw) || text[0] != 'U')
        return false;
    uint16_t crc = crc16(raw, RAW_SIZE - 2);
    if (raw[RAW_SIZE - 2] != (crc & 0xff) || raw[RAW_SIZE - 1] != crc >> 8)
        return false;
    memcpy(key, raw + 1, NATS_KEY_BYTES);
    return true;
}

void nats_key_encode(char role, const uint8_t key[static NATS_KEY_BYTES], char text[static 57])
{
    uint8_t raw[RAW_SIZE + 1] = {0};
    raw[0] = (uint8_t)((strchr(alphabet, role) - alphabet) << 3);
    memcpy(raw + 1, key, NATS_KEY_BYTES);
    uint16_t crc = crc16(raw, RAW_SIZE - 2);
    raw[RAW_SIZE - 2] = (uint8_t)(crc & 0xff);
    raw[RAW_SIZE - 1] = (uint8_t)(crc >> 8);
    for (size_t i = 0; i < TEXT_SIZE; i++) {
        size_t bit = i * 5;
        unsigned two = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];
        text[i] = alphabet[two >> (11 - bit % 8) & 31];
    }
    text[TEXT_SIZE] = '\0';
}

/* Base64 of either alphabet, padded or not; returns the number of bytes, 0: it is none. */
static size_t decode64(const char *text, uint8_t *out, size_t room)
{
    unsigned bits = 0, held = 0;
    size_t size = 0;
    for (; *text != '\0' && *text != '='; text++) {
        char c = *text;
        unsigned v;
        if (c >= 'A' && c <= 'Z')
            v = (unsigned)(c - 'A');
        else if (c >= 'a' && c <= 'z')
            v = (unsigned)(c - 'a') + 26;
        else if (c >= '0' && c <= '9')
            v = (unsigned)(c - '0') + 52;
        else if (c == '+' || c == '-')
            v = 62;
        else if (c == '/' || c == '_')
            v = 63;
        else
            return 0;
        bits = (bits << 6 | v) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            if (size == room)
                return 0;
            out[size++] = (uint8_t)(bits >> held);
        }
    }
    return size;
}

bool nats_key_verify(const uint8_t key[static NATS_KEY_BYTES], const char *nonce,
                     const char *signature)
{
    uint8_t raw[SIGNATURE_SIZE];
    if (decode64(signature, raw, sizeof raw) != SIGNATURE_SIZE)
        return false;
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, NATS_KEY_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = public != NULL && context != NULL &&
                EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
                EVP_DigestVerify(context, raw, sizeof raw, (const unsigned char *)nonce,
                                 strlen(nonce)) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public);
    return good;
}
