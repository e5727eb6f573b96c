/* Where a job is on its nodes: private to Slurm. The compiler and cffi both read this file. What
 * comes after these members is left out, as nobody but libslurm makes one. */

#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(26,6,0)
struct job_resources {
	bitstr_t *core_bitmap;
	bitstr_t *core_bitmap_used;
	uint32_t cpu_array_cnt;
	uint16_t *cpu_array_value;
	uint32_t *cpu_array_reps;
	uint16_t *cpus;
	uint16_t *cpus_used;
	uint16_t *cores_per_socket;
	uint16_t cr_type;
	uint64_t *memory_allocated;
	uint64_t *memory_used;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,11,0)
	uint32_t next_step_node_inx;
#endif
	uint32_t nhosts;
	bitstr_t *node_bitmap;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26,5,0)
	uint32_t *node_ranks;
#endif
	uint32_t node_req;
	char *nodes;
	uint32_t ncpus;
	uint32_t *sock_core_rep_count;
	uint16_t *sockets_per_node;
};
#endif
