/* What the nodes say of a running step. */

typedef struct jobacctinfo jobacctinfo_t;

typedef struct {
	uint64_t consumed_energy;
	...;
} acct_gather_energy_t;

typedef struct {
	char *node_name;
	uint32_t *pid;
	uint32_t pid_cnt;
	...;
} job_step_pids_t;

typedef struct {
	jobacctinfo_t *jobacct;
	uint32_t num_tasks;
	job_step_pids_t *step_pids;
	...;
} job_step_stat_t;

typedef ... job_step_stat_response_msg_t;

int slurmpy_step_stat(const char *cluster, job_step_info_t *step,
		      job_step_stat_response_msg_t **resp);
job_step_stat_t *slurmpy_pop_stat(job_step_stat_response_msg_t *resp);
void slurm_job_step_stat_free(job_step_stat_t *object);
void slurm_job_step_stat_response_msg_free(void *object);
void slurmpy_drop_stats(job_step_stat_response_msg_t **cell);
