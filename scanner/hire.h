/*
 * hire.h - having a worker, and getting rid of it
 */
#ifndef HIRE_H
#define HIRE_H

#include "worker.h"

#include <stdbool.h>

struct hired {
	int fd;          /* our end of its channel, -1 = there is none */
	int pidfd;
	unsigned served; /* messages it has seen */
	bool deep;       /* for VERB_DEEP and VERB_CONTENTS, and nothing else */
};

#define HIRED_NONE { -1, -1, 0, false }

/* Have a worker that maps `memfd`: the present one, or a fresh one when there is none or it has
 * served its time. 0 or a negative errno, `what` (60 bytes) then names the step. */
int hire(struct hired *h, int zygote, int memfd, char *what);

/* The same of a volume server (volume_server.c) that reads `image`. */
int hire_volume(struct hired *h, int zygote, int image, char *what);

/* Kill it, whatever it is doing. */
void dismiss(struct hired *h);

/* Wait for it to say something, WORKER_DEADLINE_MS at most: false = it did not. */
bool hired_speaks(const struct hired *h);

/* Tell it to go on, with what is in this half of lane memory. False = it is gone. */
bool hired_go(const struct hired *h, unsigned half);

#endif
