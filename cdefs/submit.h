/* What a job is described with, for submission and for changes. */

typedef struct job_descriptor {
	char *account;
	char *acctg_freq;
	char *admin_comment;
	uint32_t argc;
	char **argv;
	char *array_inx;
	char *batch_features;
	time_t begin_time;
	uint64_t bitflags;
	char *clusters;
	char *cluster_features;
	char *comment;
	uint16_t contiguous;
	char *container;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,2,0)
	char *container_id;
#endif
	uint16_t core_spec;
	uint32_t cpu_freq_min;
	uint32_t cpu_freq_max;
	uint32_t cpu_freq_gov;
	char *cpus_per_tres;
	time_t deadline;
	uint32_t delay_boot;
	char *dependency;
	char **environment;
	uint32_t env_size;
	char *exc_nodes;
	char *extra;
	char *features;
	uint32_t group_id;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,2,0)
	char *job_size_str;
#endif
	uint16_t kill_on_node_fail;
	char *licenses;
	uint16_t mail_type;
	char *mail_user;
	char *mcs_label;
	uint16_t mem_bind_type;
	char *mem_per_tres;
	char *name;
	char *network;
	uint32_t nice;
	uint32_t num_tasks;
	uint8_t open_mode;
	uint8_t overcommit;
	char *partition;
	uint16_t plane_size;
	uint32_t priority;
	uint32_t profile;
	char *qos;
	uint16_t reboot;
	char *req_nodes;
	uint16_t requeue;
	char *reservation;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,5,0)
	uint16_t resv_port_cnt;
#endif
	char *script;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,5,0)
	uint16_t segment_size;
#endif
	uint16_t shared;
	uint32_t site_factor;
	uint32_t task_dist;
	uint32_t time_limit;
	uint32_t time_min;
	char *tres_bind;
	char *tres_per_job;
	char *tres_per_node;
	char *tres_per_socket;
	char *tres_per_task;
	uint32_t user_id;
	uint16_t wait_all_nodes;
	uint16_t warn_flags;
	uint16_t warn_signal;
	uint16_t warn_time;
	char *work_dir;
	uint16_t cpus_per_task;
	uint32_t min_cpus;
	uint32_t min_nodes;
	uint32_t max_nodes;
	uint16_t sockets_per_node;
	uint16_t cores_per_socket;
	uint16_t threads_per_core;
	uint16_t ntasks_per_node;
	uint16_t ntasks_per_socket;
	uint16_t ntasks_per_core;
	uint16_t ntasks_per_tres;
	uint16_t pn_min_cpus;
	uint64_t pn_min_memory;
	uint32_t pn_min_tmp_disk;
	char *req_context;
	uint32_t req_switch;
	char *std_err;
	char *std_in;
	char *std_out;
	uint32_t wait4switch;
	char *wckey;
	...;
} job_desc_msg_t;

typedef struct submit_response_msg {
	char *job_submit_user_msg;
	...;
} submit_response_msg_t;

typedef struct will_run_response_msg {
	char *job_submit_user_msg;
	char *node_list;
	char *part_name;
	uint32_t proc_cnt;
	time_t start_time;
	...;
} will_run_response_msg_t;

static const uint64_t USE_MIN_NODES;
static const uint64_t JOB_NTASKS_SET;
static const uint64_t JOB_CPUS_SET;
static const uint8_t OPEN_MODE_APPEND;
static const uint8_t OPEN_MODE_TRUNCATE;
static const uint16_t JOB_SHARED_NONE;
static const uint16_t JOB_SHARED_OK;
static const uint16_t JOB_SHARED_USER;
static const uint16_t JOB_SHARED_MCS;
static const uint16_t JOB_SHARED_TOPO;
static const uint16_t KILL_JOB_RESV;

/* The parts of a distribution: over nodes, over sockets, over cores. */
static const uint32_t SLURM_DIST_NODECYCLIC;
static const uint32_t SLURM_DIST_NODEBLOCK;
static const uint32_t SLURM_DIST_ARBITRARY;
static const uint32_t SLURM_DIST_PLANE;
static const uint32_t SLURM_DIST_SOCKCYCLIC;
static const uint32_t SLURM_DIST_SOCKBLOCK;
static const uint32_t SLURM_DIST_SOCKCFULL;
static const uint32_t SLURM_DIST_CORECYCLIC;
static const uint32_t SLURM_DIST_COREBLOCK;
static const uint32_t SLURM_DIST_CORECFULL;
static const uint32_t SLURM_DIST_UNKNOWN;
static const uint32_t SLURM_DIST_PACK_NODES;
static const uint32_t SLURM_DIST_NO_PACK_NODES;

/* What slurm.conf says of submissions: the limits that go with a job, or those that do not; the
 * parameters of MPI; the governors of CPU frequencies that are allowed, and the one by default;
 * whether jobs may keep cores for the system; how jobs are bound to their GRES by default. */
typedef struct {
	char limits[1024];
	char no_limits[1024];
	char mpi[1024];
	uint32_t governors;
	uint32_t governor;
	int specialized;
	int binds_gres;
	int one_task_per_sharing;
	...;
} slurmpy_submission_conf_t;

/* Whether GRES are spelled "gres/gpu", and what a task gets is in one text. */
#define SLURMPY_SPELLS_TRES ...

void slurm_init_job_desc_msg(job_desc_msg_t *desc);
void slurmpy_init_submission(job_desc_msg_t *desc);
time_t slurm_parse_time(const char *text, int past);
int slurmpy_submit(job_desc_msg_t **parts, int count, submit_response_msg_t **resp);
uint32_t slurmpy_submitted(const submit_response_msg_t *resp);
int slurmpy_will_run(job_desc_msg_t *desc, will_run_response_msg_t **resp);
uint32_t slurmpy_preempted(will_run_response_msg_t *resp, uint32_t *ids, uint32_t size);
int slurmpy_update_job(const char *cluster, char *job, job_desc_msg_t *changes,
		       job_array_resp_msg_t **resp);
int slurmpy_nodes(const char *list, int as_named, char **text, uint32_t *count,
		  uint32_t *different);
int slurmpy_submission_conf(slurmpy_submission_conf_t *conf);
void slurmpy_drop_submitted(submit_response_msg_t **cell);
void slurmpy_drop_will_run(will_run_response_msg_t **cell);
