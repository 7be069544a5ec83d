/* lanemem.c - a sealed memfd; its halves are filled from front to back */
#include "config.h"

#include "lanemem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int lanemem_open(struct lanemem halves[2])
{
	int fd = memfd_create("spoolck-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *mem = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, LANE_BYTES) == 0)
		mem = mmap(NULL, LANE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* DONTFORK: whoever we might fork one day must not inherit the writable mapping. */
	if (mem == MAP_FAILED || madvise(mem, LANE_BYTES, MADV_DONTFORK) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	for (unsigned i = 0; i < 2; i++) {
		halves[i] = (struct lanemem){ .mem = mem + i * LANE_HALF, .fd = fd, .half = i };
		lanemem_reset(&halves[i]);
	}
	return 0;
}

void lanemem_close(struct lanemem halves[2])
{
	munmap(halves[0].mem, LANE_BYTES);
	close(halves[0].fd);
}

void lanemem_reset(struct lanemem *m)
{
	m->used = sizeof(struct lane_head);
}

uint32_t lanemem_take(struct lanemem *m, size_t n)
{
	size_t start = (m->used + 15) & ~(size_t)15;

	if (n > LANE_HALF - start)
		return 0;
	m->used = start + n;
	return (uint32_t)start;
}

uint32_t lanemem_copy(struct lanemem *m, const char *s, size_t n)
{
	uint32_t offset = lanemem_take(m, n + 1);

	if (offset != 0) {
		memcpy(m->mem + offset, s, n);
		m->mem[offset + n] = '\0';
	}
	return offset;
}
