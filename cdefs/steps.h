/* The steps of jobs, and what is done to one. */

typedef struct {
	uint32_t array_job_id;
	uint32_t array_task_id;
	char *cluster;
	char *container;
	uint32_t cpu_freq_gov;
	uint32_t cpu_freq_max;
	uint32_t cpu_freq_min;
	char *name;
	char *network;
	char *nodes;
	uint32_t num_cpus;
	uint32_t num_tasks;
	char *partition;
	char *resv_ports;
	time_t run_time;
	char *srun_host;
	uint32_t srun_pid;
	uint16_t start_protocol_ver;
	time_t start_time;
	uint32_t state;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,5,0)
	char *std_err;
	char *std_in;
	char *std_out;
#endif
	slurm_step_id_t step_id;
	char *submit_line;
	uint32_t task_dist;
	uint32_t time_limit;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,5,0)
	char *tres_fmt_alloc_str;
#else
	char *tres_alloc_str;
#endif
	uint32_t user_id;
	...;
} job_step_info_t;

typedef struct job_step_info_response_msg {
	uint32_t job_step_count;
	job_step_info_t *job_steps;
	...;
} job_step_info_response_msg_t;

static const uint32_t SLURM_BATCH_SCRIPT;
static const uint32_t SLURM_EXTERN_CONT;
static const uint32_t SLURM_INTERACTIVE_STEP;
static const uint32_t SLURM_PENDING_STEP;
static const uint32_t SLURM_MAX_NORMAL_STEP_ID;

int slurmpy_load_steps(const char *cluster, uint32_t job_id, job_step_info_response_msg_t **resp);
void slurmpy_free_steps(job_step_info_response_msg_t *msg);
void slurmpy_drop_steps(job_step_info_response_msg_t **cell);
int slurmpy_signal_step(const char *cluster, uint32_t job_id, uint32_t step_id, uint16_t signal);
int slurmpy_limit_step(const char *cluster, uint32_t job_id, uint32_t step_id, uint32_t minutes);
char *slurmpy_hosts(const char *list);
