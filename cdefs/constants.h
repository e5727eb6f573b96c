/* Marks for "not set" and "no limit", and the flags that are read out of records. */

static const uint8_t NO_VAL8;
static const uint16_t NO_VAL16;
static const uint32_t NO_VAL;
static const uint64_t NO_VAL64;
static const uint8_t INFINITE8;
static const uint16_t INFINITE16;
static const uint32_t INFINITE;
static const uint64_t INFINITE64;

static const uint32_t NICE_OFFSET;
static const uint64_t MEM_PER_CPU;
static const uint16_t CORE_SPEC_THREAD;

static const uint32_t JOB_STATE_BASE;
static const uint32_t JOB_COMPLETING;
static const uint32_t JOB_PENDING;
static const uint32_t JOB_RUNNING;
static const uint32_t JOB_SUSPENDED;
static const uint32_t JOB_COMPLETE;

static const uint16_t SHOW_ALL;
static const uint16_t SHOW_DETAIL;
static const uint16_t SHOW_LOCAL;

static const uint64_t KILL_INV_DEP;
static const uint64_t NO_KILL_INV_DEP;
static const uint64_t GRES_ENFORCE_BIND;
static const uint64_t GRES_DISABLE_BIND;
static const uint64_t SPREAD_JOB;
static const uint64_t CRON_JOB;
/* 0 where the installed major lacks them: see source.c. */
static const uint64_t GRES_MULT_TASKS_PER_SHARING;
static const uint64_t GRES_ONE_TASK_PER_SHARING;

static const uint16_t MAIL_JOB_BEGIN;
static const uint16_t MAIL_JOB_END;
static const uint16_t MAIL_JOB_FAIL;
static const uint16_t MAIL_JOB_REQUEUE;
static const uint16_t MAIL_JOB_TIME100;
static const uint16_t MAIL_JOB_TIME90;
static const uint16_t MAIL_JOB_TIME80;
static const uint16_t MAIL_JOB_TIME50;
static const uint16_t MAIL_JOB_STAGE_OUT;
static const uint16_t MAIL_ARRAY_TASKS;
static const uint16_t MAIL_INVALID_DEPEND;

static const uint32_t ACCT_GATHER_PROFILE_NOT_SET;
static const uint32_t ACCT_GATHER_PROFILE_NONE;
static const uint32_t ACCT_GATHER_PROFILE_ENERGY;
static const uint32_t ACCT_GATHER_PROFILE_TASK;
static const uint32_t ACCT_GATHER_PROFILE_LUSTRE;
static const uint32_t ACCT_GATHER_PROFILE_NETWORK;
static const uint32_t ACCT_GATHER_PROFILE_ALL;

static const uint32_t CPU_FREQ_RANGE_FLAG;
static const uint32_t CPU_FREQ_LOW;
static const uint32_t CPU_FREQ_MEDIUM;
static const uint32_t CPU_FREQ_HIGH;
static const uint32_t CPU_FREQ_HIGHM1;
static const uint32_t CPU_FREQ_CONSERVATIVE;
static const uint32_t CPU_FREQ_ONDEMAND;
static const uint32_t CPU_FREQ_PERFORMANCE;
static const uint32_t CPU_FREQ_POWERSAVE;
static const uint32_t CPU_FREQ_USERSPACE;
static const uint32_t CPU_FREQ_SCHEDUTIL;
