/* What is done to a job. Each call is held to the cluster that the job is of. */

typedef struct {
	uint32_t job_array_count;
	char **job_array_id;
	uint32_t *error_code;
	...;
} job_array_resp_msg_t;

static const int SIGKILL;
static const uint16_t KILL_JOB_BATCH;
static const uint16_t KILL_STEPS_ONLY;
static const uint16_t KILL_FULL_JOB;
static const uint16_t KILL_HURRY;
static const uint32_t JOB_REQUEUE_HOLD;
static const uint32_t ALLOC_SID_USER_HOLD;

/* Given in place of Slurm's answer where Slurm is in use with another cluster. */
#define SLURMPY_OTHER_CLUSTER ...
#define SLURMPY_NOT_TAKEN ...

int slurmpy_kill_job(const char *cluster, const char *job, uint16_t signal, uint16_t flags);

/* Many jobs in one call, with an answer for each that failed. */
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,11,6)
typedef struct {
	bitstr_t *array_bitmap;
	uint32_t array_task_id;
	slurm_step_id_t step_id;
	...;
} slurm_selected_step_t;

typedef struct {
	uint32_t error_code;
	slurm_selected_step_t *id;
	uint32_t real_job_id;
	...;
} kill_jobs_resp_job_t;

typedef struct {
	kill_jobs_resp_job_t *job_responses;
	uint32_t jobs_cnt;
	...;
} kill_jobs_resp_msg_t;

int slurmpy_kill_jobs(const char *cluster, char **jobs, uint32_t count, uint16_t signal,
		      uint16_t flags, kill_jobs_resp_msg_t **resp);
void slurmpy_free_kill_jobs(kill_jobs_resp_msg_t *resp);
void slurmpy_drop_kill_jobs(kill_jobs_resp_msg_t **cell);
#endif

int slurmpy_suspend(const char *cluster, char *job, job_array_resp_msg_t **resp);
int slurmpy_resume(const char *cluster, char *job, job_array_resp_msg_t **resp);
int slurmpy_requeue(const char *cluster, char *job, uint32_t flags, job_array_resp_msg_t **resp);
int slurmpy_set_priority(const char *cluster, char *job, uint32_t priority, uint32_t alloc_sid,
			 job_array_resp_msg_t **resp);
int slurmpy_notify_job(const char *cluster, uint32_t job_id, char *message);
int slurmpy_batch_script(const char *cluster, uint32_t job_id, char **text, size_t *size);
void slurm_free_job_array_resp(job_array_resp_msg_t *resp);
void slurmpy_drop_array(job_array_resp_msg_t **cell);
void slurmpy_drop_text(char **cell);
