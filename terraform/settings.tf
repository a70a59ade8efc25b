# Environment of the functions and of the portal: docs/reference/settings.md.

locals {
  database_name = "plumbline"

  # By the function's or the portal's name.
  database_users = { for name in concat([for name, of in local.functions : name if of.database], ["portal"]) : name => "plumbline_${name}" }

  # What a user of Redis may do, by key and by command.
  cache_users = { for name, rules in {
    sync    = "on ~device:* ~stats:* -@all +@connection -@dangerous +get +set +eval +evalsha +script|load"
    portal  = "on ~device:* ~stats:* ~session:* ~api_token:* -@all +@connection -@dangerous +get +mget +set +del +pttl +pexpire +eval +evalsha +script|load"
    operate = "on ~session:* ~api_token:* -@all +@connection -@dangerous +set +del"
  } : name => rules if name == "portal" || contains(keys(local.functions), name) }

  database_settings = {
    DATABASE_HOST = module.rds.cluster_endpoint
    DATABASE_NAME = local.database_name
  }
  cache_settings = {
    REDIS_HOST = module.elasticache.primary_endpoint
    REDIS_NAME = module.elasticache.replication_group_id
  }
  mqtt_topics = length(var.mqtt_topics) > 0 ? var.mqtt_topics : local.topology.topics

  queue_settings = {
    distributing = { DISTRIBUTING_QUEUE_URL = module.sqs.queues["distributing"].url }
    db1          = { DB1_QUEUE_URL = module.sqs.queues["db1"].url }
  }

  function_settings = { for name, of in local.functions : name => merge(
    of.broker_user == "" ? {} : merge({
      BROKER_ENDPOINT        = "mqtts://plumbline-${replace(of.broker_user, "_", "-")}@${module.ecs.tasks_host}:8883"
      BROKER_PASSWORD_SECRET = module.ecs.service_user_secret_arns[of.broker_user]
    }, var.broker_ca_pem == "" ? {} : { BROKER_CA_PEM = var.broker_ca_pem }),
    of.broker_user == "ingest" ? { MQTT_TOPIC = join(",", local.mqtt_topics) } : {},
    merge([for queue in concat(of.sends_to, of.counts) : local.queue_settings[queue]]...),
    of.database || of.database_owner ? merge(local.database_settings, { DATABASE_CA_FILE = "/var/task/rds-ca.pem" }) : {},
    of.database ? { DATABASE_USER = local.database_users[name] } : {},
    of.database_owner ? { DATABASE_SECRET = module.rds.master_secret_arn } : {},
    of.cache ? merge(local.cache_settings, { REDIS_USER = module.elasticache.users[name].name }) : {},
    of.operator ? { BROKER_PASSWORDS = local.passwords_url } : {},
  ) }

  portal_settings = merge(local.database_settings, local.cache_settings, local.queue_settings.distributing, local.queue_settings.db1, {
    AWS_REGION                = var.aws_region
    DATABASE_CA_FILE          = "/opt/plumbline/rds-ca.pem"
    DATABASE_USER             = local.database_users["portal"]
    REDIS_USER                = module.elasticache.users["portal"].name
    MQTT_COMMAND_QUEUE_URL    = module.sqs.mqtt_command_url
    LORAWAN_COMMAND_QUEUE_URL = module.sqs.lorawan_command_url
    PORTAL_PUBLIC_ORIGIN      = "https://${var.domain_name}"
    PORTAL_TRUSTED_PROXIES    = "2" # CloudFront and the load balancer
    PORTAL_RATE_LIMIT         = "0" # the web ACL counts
  })

  passwords_url = "s3://${aws_s3_bucket.artifacts.id}/${local.password_object_key}"
}
