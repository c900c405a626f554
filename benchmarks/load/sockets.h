/* Sockets of 127.0.0.1, none of which ever blocks, and what each program needs to have many. */
#ifndef LOAD_SOCKETS_H
#define LOAD_SOCKETS_H

#include <stdint.h>

/* Allow as many descriptors as the hard limit does. */
void raise_descriptor_limit(void);

/* Print the sentence and errno's meaning on stderr, and exit with status 1. */
_Noreturn void die(const char *what);

/* Listen on a free port; `port` becomes its number. */
int listen_on_loopback(uint16_t *port);

/* Begin to connect; -1 with errno where that cannot be. */
int connect_to_loopback(uint16_t port);

/* A small message is sent when it is written, not when there are more. */
void send_at_once(int socket);

#endif
