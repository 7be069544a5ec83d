/*
 * split.h - over how many directories a spool's files are divided
 */
#ifndef SPLIT_H
#define SPLIT_H

#include "spool.h"

/* Fill in site.split and site.split_places of a spool that is being opened; 0 when its format has
 * no such places or nothing can be told. Reads names only. */
void split_learn(struct spool *spool);

#endif
