/*
 * What libpcap makes of packet filters: the oracle of tests/pcap.
 *
 * In, on stdin, as often as wanted, numbers with 32 bits in the machine's order: link type, length and text of a filter, number of packets,
 * and for each packet its length on the wire, its captured length and its bytes. Out: 0 and a byte per packet, 1 for a match; or 1,
 * length and text of the error. Filters are not optimised: what they mean is what they say.
 */
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int get(void *to, size_t size)
{
	return fread(to, 1, size, stdin) == size;
}

static uint32_t number(void)
{
	uint32_t n;

	if (!get(&n, sizeof(n)))
		exit(1);
	return n;
}

static void *bytes(uint32_t size)
{
	char *to = malloc((size_t)size + 1);

	if (to == NULL || !get(to, size))
		exit(1);
	to[size] = '\0';
	return to;
}

static void put(uint32_t n)
{
	fwrite(&n, sizeof(n), 1, stdout);
}

int main(void)
{
	uint32_t link;

	while (get(&link, sizeof(link))) {
		char *text = bytes(number());
		pcap_t *pcap = pcap_open_dead((int)link, 262144);
		struct bpf_program program;
		int failed = pcap_compile(pcap, &program, text, 0, PCAP_NETMASK_UNKNOWN);
		uint32_t count = number();

		put(failed != 0);
		if (failed) {
			const char *error = pcap_geterr(pcap);

			put((uint32_t)strlen(error));
			fputs(error, stdout);
		}
		while (count-- > 0) {
			struct pcap_pkthdr header = {0};
			u_char *packet;

			header.len = number();
			header.caplen = number();
			packet = bytes(header.caplen);
			if (!failed)
				putchar(pcap_offline_filter(&program, &header, packet) != 0);
			free(packet);
		}
		if (!failed)
			pcap_freecode(&program);
		pcap_close(pcap);
		free(text);
		fflush(stdout);
	}
	return 0;
}
