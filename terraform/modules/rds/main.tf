locals {
  identifier = "rds-${var.name_prefix}-aurora"
  family     = "aurora-postgresql${split(".", var.engine_version)[0]}"
}

resource "aws_security_group" "aurora" {
  name        = "${var.name_prefix}-aurora-sg"
  description = "Aurora PostgreSQL"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-aurora" }
}

resource "aws_db_subnet_group" "aurora" {
  name        = "rds-subnet-${var.name_prefix}"
  description = "Private subnets"
  subnet_ids  = var.subnet_ids
}

resource "aws_rds_cluster_parameter_group" "aurora" {
  name        = "rds-params-${var.name_prefix}-aurora"
  description = "TLS for every connection; slow statements in the log"
  family      = local.family

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000" # ms
  }
}

# Written by RDS; made here so that it is encrypted and ends.
resource "aws_cloudwatch_log_group" "postgresql" {
  name              = "/aws/rds/cluster/${local.identifier}/postgresql"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_rds_cluster" "aurora" {
  # checkov:skip=CKV2_AWS_8: Aurora keeps its own continuous backup
  # checkov:skip=CKV2_AWS_27: slow statements are logged; all of them would be the readings once more

  cluster_identifier = local.identifier
  engine             = "aurora-postgresql"
  engine_mode        = "provisioned"
  engine_version     = var.engine_version
  database_name      = var.database_name

  # Everybody signs in with a token of IAM. The master user alone has a password: RDS makes it,
  # keeps it in Secrets Manager and changes it; the migration function reads it there.
  iam_database_authentication_enabled = true
  master_username                     = "plumbline_owner"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn

  serverlessv2_scaling_configuration {
    min_capacity = var.min_capacity
    max_capacity = var.max_capacity
  }

  db_subnet_group_name            = aws_db_subnet_group.aurora.name
  vpc_security_group_ids          = [aws_security_group.aurora.id]
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.aurora.name

  storage_encrypted = true
  kms_key_id        = var.kms_key_arn

  backup_retention_period      = var.backup_retention_days
  preferred_backup_window      = "03:00-04:00"
  preferred_maintenance_window = "sun:04:30-sun:05:30"
  copy_tags_to_snapshot        = true
  deletion_protection          = var.deletion_protection
  skip_final_snapshot          = !var.deletion_protection
  final_snapshot_identifier    = "${local.identifier}-final"

  enabled_cloudwatch_logs_exports = ["postgresql"]

  tags = { Name = local.identifier }

  depends_on = [aws_cloudwatch_log_group.postgresql]
}

resource "aws_rds_cluster_instance" "aurora" {
  # checkov:skip=CKV_AWS_118: Performance Insights tells more; the system of a serverless instance is AWS's
  # checkov:skip=CKV_AWS_226: a long-term support version stays until somebody raises the variable

  for_each = toset([for number in range(var.instance_count) : tostring(number + 1)])

  identifier         = "${local.identifier}-${each.key}"
  cluster_identifier = aws_rds_cluster.aurora.id
  engine             = aws_rds_cluster.aurora.engine
  engine_version     = aws_rds_cluster.aurora.engine_version
  instance_class     = "db.serverless"

  db_subnet_group_name = aws_db_subnet_group.aurora.name
  publicly_accessible  = false
  ca_cert_identifier   = "rds-ca-rsa2048-g1"
  # A reader that may be asked to take over keeps the writer's size.
  promotion_tier = 0

  auto_minor_version_upgrade = false

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = 7 # days; no charge
  copy_tags_to_snapshot                 = true

  tags = { Name = "${local.identifier}-${each.key}" }
}
