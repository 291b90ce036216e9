/* SPDX-License-Identifier: MIT */
/* Helpers shared by the files of config/. */
#ifndef CONFIG_PRIVATE_H
#define CONFIG_PRIVATE_H

#include "config/config.h"

/* Index of a broker setting in its rows, -1: unknown. */
int broker_row_index(const char *name);

/* Without white space at its ends. */
struct bytes trimmed(struct bytes b);

/* Sets a value by source; a source of lower rank than what is there changes nothing. OUT_NOT_FOUND
 * for an unknown name, OUT_INVALID for a value that does not fit. */
MUST enum outcome config_set(struct config *c, const char *name, const char *value, uint8_t rank);

/* file.c: reads a properties file into the config; warning names settings of Kafka's internals. */
MUST enum outcome config_file(struct config *c, const char *path);

/* What FluxMQ does otherwise than Kafka unless a file or an option says so. */
MUST enum outcome config_own_defaults(struct config *c);

/* Fills the typed fields from the texts. */
MUST enum outcome config_settle(struct config *c);
MUST enum outcome config_settle_listeners(struct config *c);
MUST enum outcome config_settle_subjects(struct config *c);
/* One entry of nats.subjects. */
MUST bool config_subject_parse(struct bytes text, struct config_subject *s);

/* What settings do, in order of (resource, name); made from about.tsv. */
struct config_sentence {
    enum config_resource resource;
    const char *name, *text;
};
extern const struct config_sentence config_sentences[];
extern const size_t config_sentence_count;

enum { RANK_DEFAULT, RANK_FILE, RANK_ENVIRONMENT, RANK_OPTION, RANK_DYNAMIC_DEFAULT, RANK_DYNAMIC };

#endif
