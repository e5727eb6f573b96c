/* Members of many records at once, and which records have the same. */

typedef struct {
	size_t offset;
	/* How many bytes it has; 0 is a text. */
	size_t width;
} slurmpy_member_t;

/* In place of the place of a record that is none of these. */
#define SLURMPY_ELSEWHERE ...

int64_t slurmpy_distinct(const void *records, size_t size, const uint32_t *places, uint32_t count,
			 const slurmpy_member_t *members, uint32_t member_count, uint32_t *codes,
			 uint32_t *firsts);

void slurmpy_same(const void *records, size_t size, const uint32_t *places, uint32_t count,
		  const slurmpy_member_t *members, uint32_t member_count, uint8_t *same);

void slurmpy_gather(const void *records, size_t size, const uint32_t *places, uint32_t count,
		    const slurmpy_member_t *members, uint32_t member_count, void *const *values);

char *slurmpy_texts(const void *records, size_t size, const uint32_t *places,
		    const uint32_t *numbers, uint32_t count, size_t offset, size_t *length);
char *slurmpy_paths(int which, slurm_job_info_t *jobs, const uint32_t *places, uint32_t count,
		    size_t *length);
