/* SPDX-License-Identifier: MIT */
/*
 * What programs that measure the machine share: they end with a word when a call fails, and talk
 * over loopback with blocking sockets that do not delay.
 */
#pragma once

#include "base/cc.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program with status 2, having said this and errno's meaning. */
NORETURN PRINTF(1, 2) void die(const char *format, ...);
int64_t now_ns(void); /* monotonic */

/* *address is where it listens. */
int listen_at(struct sockaddr_in *address, int backlog);
int dial(const struct sockaddr_in *address);
int accept_from(int listener);

/* All of it; false: the peer ended. */
bool receive(int s, void *to, size_t size);
/* All of it, with these MSG_ flags. */
void transmit(int s, const void *from, size_t size, int flags);
