/* eva_wrong.c - one byte too many, for the self-test of prove.sh */
#include "eva.h"

int main(void)
{
	any_message();
	any_window();
	return message.parts[0].bytes[message.parts[0].len];
}
