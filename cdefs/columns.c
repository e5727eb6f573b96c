/* ---- Columns ---- */

typedef struct {
	size_t offset;
	size_t width;
} slurmpy_member_t;

/* In place of the place of a record that is none of these. */
#define SLURMPY_ELSEWHERE 0xffffffffu

/* So many records ahead of the one that is read: they are a kilobyte apart, and each would be
 * waited for otherwise. */
#define SLURMPY_AHEAD 16

/* NULL for one that is elsewhere. */
static const char *slurmpy_record(const void *records, size_t size, const uint32_t *places,
				  uint32_t number)
{
	uint32_t place = places ? places[number] : number;

	return place == SLURMPY_ELSEWHERE ? NULL : (const char *) records + size * place;
}

/* Which members are the same in all records, byte by byte: of texts those that are nowhere set. What
 * is elsewhere is not looked at, and where all is, no member is the same. Most members are: to find
 * all of them in one pass takes far less than to look at each by itself. */
static void slurmpy_same(const void *records, size_t size, const uint32_t *places, uint32_t count,
			 const slurmpy_member_t *members, uint32_t member_count, uint8_t *same)
{
	const char *first = NULL, *record, *next;
	uint32_t i, member;

	memset(same, 0, member_count);
	for (i = 0; i < count; i++) {
		record = slurmpy_record(records, size, places, i);
		if (!record)
			continue;
		if (!first) {
			first = record;
			memset(same, 1, member_count);
			continue;
		}
		next = NULL;
		if (i + SLURMPY_AHEAD < count)
			next = slurmpy_record(records, size, places, i + SLURMPY_AHEAD);
		for (member = 0; member < member_count; member++) {
			size_t offset = members[member].offset, width = members[member].width;

			if (!same[member])
				continue;
			if (next)
				__builtin_prefetch(next + offset);
			same[member] = !memcmp(record + offset, first + offset,
					       width ? width : sizeof(char *));
		}
	}
}

/* Some members as they are: of each the values, one after the other. What is elsewhere is left as it
 * was. In one pass, as more memory than the processor keeps the addresses of is gone through. */
static void slurmpy_gather(const void *records, size_t size, const uint32_t *places,
			   uint32_t count, const slurmpy_member_t *members, uint32_t member_count,
			   void *const *values)
{
	const char *record, *next;
	uint32_t i, member;

	for (i = 0; i < count; i++) {
		record = slurmpy_record(records, size, places, i);
		next = NULL;
		if (i + SLURMPY_AHEAD < count)
			next = slurmpy_record(records, size, places, i + SLURMPY_AHEAD);
		for (member = 0; member < member_count; member++) {
			size_t offset = members[member].offset, width = members[member].width;

			if (next)
				__builtin_prefetch(next + offset);
			if (record)
				memcpy((char *) values[member] + width * i, record + offset, width);
		}
	}
}

static uint64_t slurmpy_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ (hash >> 32);
}

static uint64_t slurmpy_hash(const char *record, const slurmpy_member_t *members, uint32_t count)
{
	uint64_t hash = 0, value;
	const unsigned char *byte;
	uint32_t i;

	for (i = 0; i < count; i++) {
		value = 0;
		if (members[i].width) {
			memcpy(&value, record + members[i].offset, members[i].width);
		} else {
			memcpy(&byte, record + members[i].offset, sizeof(byte));
			for (value = 14695981039346656037u; byte && *byte; byte++)
				value = (value ^ *byte) * 1099511628211u;
		}
		hash = slurmpy_mix(hash, value);
	}
	return hash;
}

static int slurmpy_same_text(const char *one, const char *other)
{
	return one == other || (one && other && strcmp(one, other) == 0);
}

static int slurmpy_equal(const char *one, const char *other, const slurmpy_member_t *members,
			uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		const void *a = one + members[i].offset, *b = other + members[i].offset;

		if (members[i].width ? memcmp(a, b, members[i].width) :
				       !slurmpy_same_text(*(char *const *) a, *(char *const *) b))
			return 0;
	}
	return 1;
}

/* Gives records with the same values in some members the same code, counted from 0 in the order
 * in which they come, and for each code the first that has it. Of all records, or of those at some
 * places; codes and firsts count by these, and have room for each. One that is elsewhere gets no
 * code. Returns how many codes there are, or -1 where there is no memory. */
static int64_t slurmpy_distinct(const void *records, size_t size, const uint32_t *places,
				uint32_t count, const slurmpy_member_t *members,
				uint32_t member_count, uint32_t *codes, uint32_t *firsts)
{
	/* Small as long as there are few, so that it stays in the cache. A slot has a code and one. */
	size_t slots = 256, slot, old;
	uint32_t *table = calloc(slots, sizeof(*table)), *larger, found = 0, i, code;
	uint64_t *hashes = malloc((count + (size_t) 1) * sizeof(*hashes)), hash;

	for (i = 0; table && hashes && i < count; i++) {
		const char *record = slurmpy_record(records, size, places, i), *next;
		uint32_t member;

		if (i + SLURMPY_AHEAD < count) {
			next = slurmpy_record(records, size, places, i + SLURMPY_AHEAD);
			for (member = 0; next && member < member_count; member++)
				__builtin_prefetch(next + members[member].offset);
		}
		if (!record)
			continue;
		hash = slurmpy_hash(record, members, member_count);
		for (slot = hash & (slots - 1); (code = table[slot]); slot = (slot + 1) & (slots - 1)) {
			uint32_t first = firsts[code - 1];

			if (hashes[code - 1] == hash &&
			    slurmpy_equal(record, slurmpy_record(records, size, places, first),
					 members, member_count))
				break;
		}
		if (code) {
			codes[i] = code - 1;
			continue;
		}
		hashes[found] = hash;
		firsts[found] = i;
		codes[i] = found++;
		table[slot] = found;
		if (found < slots / 2)
			continue;
		larger = calloc(slots * 4, sizeof(*table));
		slots *= 4;
		for (old = 0; larger && old < found; old++) {
			for (slot = hashes[old] & (slots - 1); larger[slot];
			     slot = (slot + 1) & (slots - 1))
				;
			larger[slot] = (uint32_t) old + 1;
		}
		free(table);
		table = larger;
	}
	i = table && hashes;
	free(table);
	free(hashes);
	return i ? (int64_t) found : -1;
}

/* More room for what is there; NULL, and nothing is there any more, where there is no memory. */
static char *slurmpy_larger(char *texts, size_t room)
{
	char *larger = realloc(texts, room);

	if (!larger)
		free(texts);
	return larger;
}

/* A text of some records, each with the 0 at its end, one after the other; empty for one that is not
 * set. To be freed; NULL where there is no memory. */
static char *slurmpy_texts(const void *records, size_t size, const uint32_t *places,
			   const uint32_t *numbers, uint32_t count, size_t offset, size_t *length)
{
	size_t room = 4096, used = 0, more;
	char *texts = malloc(room);
	const char *text;
	uint32_t i;

	for (i = 0; texts && i < count; i++) {
		memcpy(&text, slurmpy_record(records, size, places, numbers[i]) + offset,
		       sizeof(text));
		if (!text)
			text = "";
		more = strlen(text) + 1;
		if (room - used < more) {
			room = room * 2 + more;
			texts = slurmpy_larger(texts, room);
		}
		if (texts)
			memcpy(texts + used, text, more);
		used += more;
	}
	*length = used;
	return texts;
}

/* The paths that the library makes up for jobs, each with the 0 at its end, one after the other:
 * of standard input (0), output (1) or error (2); empty for one that is elsewhere. To be freed; NULL
 * where there is no memory. */
static char *slurmpy_paths(int which, slurm_job_info_t *jobs, const uint32_t *places,
			   uint32_t count, size_t *length)
{
	size_t room = 65536, used = 0, longest = 4096, size;
	char *texts = malloc(room);
	uint32_t i = 0;

	while (texts && i < count) {
		const char *record = slurmpy_record(jobs, sizeof(*jobs), places, i), *given = "";
		slurm_job_info_t *job = (slurm_job_info_t *) record;

		if (room - used < longest) {
			room = room * 2 + longest;
			texts = slurmpy_larger(texts, room);
			continue;
		}
		if (job)
			given = which == 0 ? job->std_in : job->std_out;
		if (job && which == 2 && job->std_err)
			given = job->std_err;
		texts[used] = '\0';
		/* With an empty one, 24.11 would crash. */
		if (given && !*given)
			;
		else if (which == 0)
			slurm_get_job_stdin(texts + used, (int) longest, job);
		else if (which == 1)
			slurm_get_job_stdout(texts + used, (int) longest, job);
		else
			slurm_get_job_stderr(texts + used, (int) longest, job);
		size = strlen(texts + used);
		if (size >= longest - 1) {
			longest *= 4;
			continue;
		}
		used += size + 1;
		i++;
	}
	*length = used;
	return texts;
}
