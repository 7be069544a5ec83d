/*
 * exim_tree.c - the tree of those who have the message already
 *
 * Exim writes its non-recipients in pre-order and reads them back with a
 * function that calls itself for each child: a chain of nodes takes the square
 * of its length in time, and then the stack of the process. Its own trees are
 * AVL trees in byte order; in any other the look-up misses names, and those
 * people get the mail twice.
 *
 * Here one level is kept per node on the way down to the one being read, with
 * the two ancestors between which it has to lie. A tree too deep for that is
 * none of Exim's; of it only the longest chain is measured.
 */
#include "exim.h"

#define LEFT 1u
#define RIGHT 2u

static struct cur address_of(const struct ex_work *x, const struct ex_level *l)
{
	struct cur c = ex_window(&x->m->parts[EX_HEAD], l->off);

	return cur_sub(&c, l->len);
}

/* Does the new node lie between its bounds? */
static bool ordered(const struct ex_work *x, const struct ex_level *node)
{
	const struct ex_tree *t = &x->k->tree;
	struct cur name = address_of(x, node), other;

	if (node->low < EX_DEPTH) {
		other = address_of(x, &t->level[node->low]);
		if (ex_order(&other, &name) >= 0)
			return false;
	}
	if (node->high < EX_DEPTH) {
		other = address_of(x, &t->level[node->high]);
		if (ex_order(&name, &other) >= 0)
			return false;
	}
	return true;
}

/* A subtree of this height ends: go up as far as others end with it. */
static void climb(struct ex_tree *t, unsigned height)
{
	while (t->depth > 0) {
		struct ex_level *up = &t->level[t->depth - 1];
		unsigned left = up->left_height, right = up->on_right != 0 ? height : 0;

		if (up->on_right == 0) {
			left = up->left_height = (uint8_t)height;
			if ((up->flags & RIGHT) != 0) {
				up->on_right = 1;
				return;
			}
		}
		if (left > right + 1 || right > left + 1)
			t->unbalanced = true;
		height = (left > right ? left : right) + 1;
		t->depth--;
	}
}

void ex_tree_node(const struct ex_work *x, const struct ex_item *it)
{
	struct ex_tree *t = &x->k->tree;
	struct cur c = it->line;
	uint8_t flags;
	struct ex_level *node, *up;

	flags = cur_u8(&c) == 'Y' ? LEFT : 0;
	flags |= cur_u8(&c) == 'Y' ? RIGHT : 0;
	cur_skip(&c, 1);
	t->nodes++;
	t->run = flags != 0 ? t->run + 1 : 0;
	if (t->run > t->deepest_run)
		t->deepest_run = t->run;
	if (t->depth >= EX_DEPTH)
		t->deep = true;
	if (t->deep)
		return;
	node = &t->level[t->depth];
	up = t->depth > 0 ? &t->level[t->depth - 1] : NULL;
	*node = (struct ex_level){ .off = cur_offset(&c), .len = (uint32_t)cur_left(&c),
				   .low = EX_DEPTH, .high = EX_DEPTH, .flags = flags,
				   .on_right = flags == RIGHT };
	if (up != NULL) {
		node->low = up->on_right ? (uint8_t)(t->depth - 1) : up->low;
		node->high = up->on_right ? up->high : (uint8_t)(t->depth - 1);
	}
	if (!ordered(x, node))
		t->unordered = true;
	if (flags != 0)
		t->depth++;
	else
		climb(t, 1);
}

void ex_tree_end(const struct ex_work *x)
{
	const struct ex_check *k = x->k;
	const struct ex_tree *t = &k->tree;
	uint64_t off = k->tree_off, len = k->tree_end - k->tree_off;
	struct finding *f;

	if (t->deepest_run >= EX_DEPTH_STOPS) {
		f = ex_note(x, F_EXIM_TREE_DEPTH, EX_HEAD, off, len);
	} else if (t->deep) {
		f = ex_note_as(x, F_EXIM_TREE_DEPTH, EX_HEAD, off, len, SEV_SUSPECT, IMPACT_NONE);
	} else if (t->unordered) {
		f = ex_note(x, F_EXIM_TREE_ORDER, EX_HEAD, off, len);
		text_str(&f->expected, "addresses in byte order, each of them once");
		return;
	} else if (t->unbalanced) {
		f = ex_note_as(x, F_EXIM_TREE_ORDER, EX_HEAD, off, len, SEV_SUSPECT, IMPACT_NONE);
		text_str(&f->expected, "branches of about the same depth");
		return;
	} else {
		return;
	}
	text_str(&f->expected, "at most ");
	text_u64(&f->expected, EX_DEPTH);
	text_str(&f->expected, " nodes one below the other");
	text_str(&f->found, t->deepest_run > EX_DEPTH ? "" : "more than ");
	text_u64(&f->found, t->deepest_run > EX_DEPTH ? t->deepest_run : EX_DEPTH);
}
