data "aws_caller_identity" "current" {}

locals {
  name_prefix = "${var.project}-${var.app}-${var.env}"
  account_id  = data.aws_caller_identity.current.account_id

  mqtt_name   = "mqtt.${var.domain_name}"
  portal_port = 8443

  origin_header = {
    name  = "X-Origin-Secret"
    value = terraform_data.origin_secret.output
  }

  functions_arn_prefix = "arn:aws:lambda:${var.aws_region}:${local.account_id}:function"
}

# A random value that stays: CloudFront shows it to the load balancer. Lies in the state, as both
# resources that it goes to do.
resource "terraform_data" "origin_secret" {
  input            = uuid()
  triggers_replace = var.origin_header_version

  lifecycle {
    ignore_changes = [input]
  }
}

module "vpc" {
  source = "./modules/vpc"

  name_prefix        = local.name_prefix
  aws_region         = var.aws_region
  account_id         = local.account_id
  vpc_cidr           = var.vpc_cidr
  availability_zones = var.availability_zones
  private_access     = var.private_access
  # Messages; secrets; the broker's image; logs of broker and portal.
  endpoint_services  = ["sqs", "secretsmanager", "ecr.api", "ecr.dkr", "logs"]
  flow_logs_enabled  = var.flow_logs_enabled
  flow_logs_role_arn = module.iam.flow_logs_role_arn
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.main.arn
}

module "sqs" {
  source = "./modules/sqs"

  name_prefix         = local.name_prefix
  queues              = local.topology.queues
  consumer_timeouts_s = { for queue, source in local.topology.event_sources : queue => local.functions[source.function].timeout_s }
  rule_arns           = module.eventbridge.rule_arns
}

module "rds" {
  source = "./modules/rds"

  name_prefix           = local.name_prefix
  vpc_id                = module.vpc.vpc_id
  subnet_ids            = module.vpc.private_subnet_ids
  engine_version        = var.aurora_engine_version
  min_capacity          = var.aurora_min_capacity
  max_capacity          = var.aurora_max_capacity
  instance_count        = var.aurora_instance_count
  backup_retention_days = var.aurora_backup_retention_days
  deletion_protection   = var.deletion_protection
  database_name         = local.database_name
  log_retention_days    = var.log_retention_days
  kms_key_arn           = aws_kms_key.main.arn
}

module "elasticache" {
  source = "./modules/elasticache"

  name_prefix    = local.name_prefix
  vpc_id         = module.vpc.vpc_id
  subnet_ids     = module.vpc.private_subnet_ids
  node_type      = var.redis_node_type
  engine_version = var.redis_engine_version
  node_count     = var.redis_node_count
  users          = local.cache_users
  kms_key_arn    = aws_kms_key.main.arn
}

module "nlb" {
  source = "./modules/nlb"

  name_prefix         = local.name_prefix
  vpc_id              = module.vpc.vpc_id
  subnet_ids          = module.vpc.public_subnet_ids
  ports               = local.mqtt_ports
  deletion_protection = var.deletion_protection
}

module "ecs" {
  source = "./modules/ecs"

  name_prefix        = local.name_prefix
  aws_region         = var.aws_region
  vpc_id             = module.vpc.vpc_id
  subnet_ids         = module.vpc.private_subnet_ids
  task_cpu           = var.ecs_task_cpu
  task_memory        = var.ecs_task_memory
  desired_count      = var.ecs_desired_count
  max_count          = var.ecs_max_count
  cpu_architecture   = var.broker_cpu_architecture
  image_tag          = var.broker_image_tag
  topics             = local.mqtt_topics
  ports              = local.mqtt_ports
  namespace          = local.mqtt_name
  target_group_arns  = module.nlb.target_group_arns
  execution_role_arn = module.iam.broker_execution_role_arn
  task_role_arn      = module.iam.broker_task_role_arn
  passwords_url      = local.passwords_url
  max_queued_bytes   = var.broker_max_queued_bytes
  password_version   = var.broker_password_version
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.main.arn
}

module "iam" {
  source = "./modules/iam"

  name_prefix           = local.name_prefix
  kms_key_arn           = aws_kms_key.main.arn
  replication_group_arn = module.elasticache.replication_group_arn
  flow_logs_enabled     = var.flow_logs_enabled
  flow_log_group_arn    = module.vpc.flow_log_group_arn

  functions = { for name, of in local.functions : name => {
    function_arn  = "${local.functions_arn_prefix}:${of.function_name}"
    log_group_arn = "arn:aws:logs:${var.aws_region}:${local.account_id}:log-group:/aws/lambda/${of.function_name}"
    consumes      = [for queue, source in local.topology.event_sources : module.sqs.queues[queue].arn if source.function == name]
    sends_to = concat(
      [for queue in of.sends_to : module.sqs.queues[queue].arn],
      # Where Lambda puts the event of a scheduled run that failed to the last.
      [for retried in keys(local.retries) : module.sqs.failed_runs.arn if retried == name],
    )
    counts         = flatten([for queue in of.counts : local.queue_and_dead_letters[queue]])
    database_users = of.database ? ["${local.database_user_arn_prefix}/${local.database_users[name]}"] : []
    cache_users    = of.cache ? [module.elasticache.users[name].arn] : []
    secrets = concat(
      of.broker_user == "" ? [] : [module.ecs.service_user_secret_arns[of.broker_user]],
      of.database_owner ? [module.rds.master_secret_arn] : [],
    )
    password_objects = of.operator ? [{ bucket_arn = aws_s3_bucket.artifacts.arn, key = local.password_object_key }] : []
  } }

  broker = {
    log_group_arn       = module.ecs.log_group_arn
    repository_arn      = module.ecs.repository_arn
    secret_arns         = concat(values(module.ecs.service_user_secret_arns), [module.ecs.tls_secret_arn])
    file_system_arn     = module.ecs.file_system_arn
    access_point_arn    = module.ecs.access_point_arn
    password_bucket_arn = aws_s3_bucket.artifacts.arn
    password_object_key = local.password_object_key
  }

  portal = {
    log_group_arn      = module.ec2.log_group_arn
    bundle_arn         = "${aws_s3_bucket.artifacts.arn}/${aws_s3_object.portal.key}"
    command_queue_arns = [module.sqs.queues["mqtt-command"].arn, module.sqs.queues["lorawan-command"].arn]
    counted_queue_arns = flatten([for queue in local.accounted_queues : local.queue_and_dead_letters[queue]])
    database_user_arn  = "${local.database_user_arn_prefix}/${local.database_users["portal"]}"
    cache_user_arn     = module.elasticache.users["portal"].arn
  }
}

locals {
  database_user_arn_prefix = "arn:aws:rds-db:${var.aws_region}:${local.account_id}:dbuser:${module.rds.cluster_resource_id}"
  queue_and_dead_letters   = { for name, queue in module.sqs.queues : name => [queue.arn, queue.dead_letter_arn] }
}

module "lambda" {
  source = "./modules/lambda"

  name_prefix  = local.name_prefix
  vpc_id       = module.vpc.vpc_id
  subnet_ids   = module.vpc.private_subnet_ids
  runtime      = local.lambda_package.runtime
  architecture = local.lambda_package.architecture

  archive = {
    bucket           = aws_s3_object.lambdas.bucket
    key              = aws_s3_object.lambdas.key
    version_id       = aws_s3_object.lambdas.version_id
    source_code_hash = local.lambda_package.source_code_hash
  }

  functions = { for name, of in local.functions : name => {
    function_name = of.function_name
    description   = "Plumbline: ${name}"
    handler       = of.handler
    timeout_s     = of.timeout_s
    memory_mb     = of.memory_mb
    alone         = of.alone
    role_arn      = module.iam.lambda_role_arns[name]
    environment   = local.function_settings[name]
  } }

  event_sources = { for queue, source in local.topology.event_sources : queue => merge(source, {
    queue_arn = module.sqs.queues[queue].arn
    fifo      = local.topology.queues[queue].fifo
  }) }

  retries            = local.retries
  failed_runs_arn    = module.sqs.failed_runs.arn
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.main.arn
}

module "eventbridge" {
  source = "./modules/eventbridge"

  name_prefix     = local.name_prefix
  failed_runs_arn = module.sqs.failed_runs.arn

  schedules = { for name, schedule in local.topology.schedules : name => {
    expression    = local.schedule_expressions[name]
    function_name = module.lambda.functions[schedule.function].function_name
    function_arn  = module.lambda.functions[schedule.function].arn
    max_retries   = schedule.max_retries
    max_age_s     = local.retries[schedule.function].max_age_s
  } }

  stopping_tasks = {
    cluster_arn   = module.ecs.cluster_arn
    service_name  = module.ecs.service_name
    function_name = module.lambda.functions["parsing"].function_name
    function_arn  = module.lambda.functions["parsing"].arn
  }
}

module "alb" {
  source = "./modules/alb"

  name_prefix         = local.name_prefix
  vpc_id              = module.vpc.vpc_id
  subnet_ids          = module.vpc.public_subnet_ids
  origin_name         = "origin.${var.domain_name}"
  hosted_zone_id      = var.hosted_zone_id
  origin_header       = local.origin_header
  target_port         = local.portal_port
  deletion_protection = var.deletion_protection
  access_log_bucket   = module.monitoring.logs_bucket
}

module "ec2" {
  source = "./modules/ec2"

  name_prefix          = local.name_prefix
  vpc_id               = module.vpc.vpc_id
  subnet_ids           = module.vpc.private_subnet_ids
  instance_type        = var.portal_instance_type
  architecture         = local.portal_package.architecture
  min_size             = var.portal_min_size
  max_size             = var.portal_max_size
  port                 = local.portal_port
  target_group_arn     = module.alb.target_group_arn
  instance_profile_arn = module.iam.portal_instance_profile_arn
  environment          = local.portal_settings
  log_retention_days   = var.log_retention_days
  kms_key_arn          = aws_kms_key.main.arn

  bundle = {
    bucket = aws_s3_object.portal.bucket
    key    = aws_s3_object.portal.key
    sha256 = local.portal_package.sha256
  }
}

module "waf" {
  source = "./modules/waf"

  providers = { aws.us_east_1 = aws.us_east_1 }

  name_prefix        = local.name_prefix
  rate_limit         = var.waf_rate_limit
  log_retention_days = var.log_retention_days
}

module "cloudfront" {
  source = "./modules/cloudfront"

  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }

  name_prefix       = local.name_prefix
  domain_name       = var.domain_name
  hosted_zone_id    = var.hosted_zone_id
  origin_name       = module.alb.origin_name
  origin_header     = local.origin_header
  web_acl_arn       = module.waf.web_acl_arn
  price_class       = var.cloudfront_price_class
  blocked_countries = var.blocked_countries
}

module "monitoring" {
  source = "./modules/monitoring"

  name_prefix         = local.name_prefix
  aws_region          = var.aws_region
  account_id          = local.account_id
  functions           = { for name, of in local.functions : name => of.function_name }
  schedules           = { for name, schedule in local.topology.schedules : schedule.function => schedule.period_s }
  queues              = { for name, queue in module.sqs.queues : name => { name = queue.name, dead_letter_name = queue.dead_letter_name } }
  failed_runs_name    = module.sqs.failed_runs.name
  aurora_cluster      = module.rds.cluster_identifier
  redis_nodes         = module.elasticache.node_ids
  alarm_emails        = var.alarm_emails
  silence_minutes     = var.silence_minutes
  audit               = var.audit
  log_retention_days  = var.log_retention_days
  kms_key_arn         = aws_kms_key.main.arn
  deletion_protection = var.deletion_protection

  broker = {
    cluster_name   = module.ecs.cluster_name
    service_name   = module.ecs.service_name
    load_balancer  = module.nlb.arn_suffix
    target_group   = module.nlb.target_group_arn_suffixes["8883"]
    desired_count  = var.ecs_desired_count
    file_system_id = module.ecs.file_system_id
  }

  portal = {
    autoscaling_group = module.ec2.autoscaling_group_name
    load_balancer     = module.alb.arn_suffix
    target_group      = module.alb.target_group_arn_suffix
    distribution_id   = module.cloudfront.distribution_id
    web_acl_name      = module.waf.web_acl_name
  }
}
