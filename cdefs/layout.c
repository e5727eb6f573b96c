/* The nodes. */

SLURMPY_DROP(nodes, node_info_msg_t, slurm_free_node_info_msg)

static int slurmpy_load_nodes(const char *cluster, node_info_msg_t **resp)
{
	int rc = slurmpy_enter_for(cluster);

	*resp = NULL;
	return rc ? rc : slurmpy_leave(slurm_load_node((time_t) 0, resp, SHOW_ALL | SHOW_LOCAL));
}
