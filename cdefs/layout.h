/* The nodes, as far as it takes to say which CPUs a job has on each. */

typedef struct node_info {
	char *name;
	uint16_t threads;
	...;
} node_info_t;

typedef struct node_info_msg {
	uint32_t record_count;
	node_info_t *node_array;
	...;
} node_info_msg_t;

int slurmpy_load_nodes(const char *cluster, node_info_msg_t **resp);
void slurm_free_node_info_msg(node_info_msg_t *msg);
void slurmpy_drop_nodes(node_info_msg_t **cell);
int64_t slurm_bit_size(bitstr_t *bits);
int slurm_bit_test(bitstr_t *bits, int64_t bit);
