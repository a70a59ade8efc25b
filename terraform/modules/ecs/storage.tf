# What waits in the broker survives a task: one directory a slot.

resource "aws_security_group" "efs" {
  name        = "${var.name_prefix}-efs-sg"
  description = "File system with the broker's queues"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-efs" }
}

# Without backups: what waits here is minutes old, and gone from here when it is drained.
resource "aws_efs_file_system" "queues" {
  creation_token   = "efs-${var.name_prefix}-broker"
  encrypted        = true
  kms_key_id       = var.kms_key_arn
  performance_mode = "generalPurpose"
  # Mosquitto writes all that waits every two seconds, which elastic throughput would bill by the
  # byte. This allows 1 MiB/s at any time, and a hundred times that for hours.
  throughput_mode = "bursting"

  tags = { Name = "efs-${var.name_prefix}-broker" }
}

resource "aws_efs_mount_target" "queues" {
  for_each = { for index, id in var.subnet_ids : "az${index + 1}" => id }

  file_system_id  = aws_efs_file_system.queues.id
  subnet_id       = each.value
  security_groups = [aws_security_group.efs.id]
}

resource "aws_efs_access_point" "queues" {
  file_system_id = aws_efs_file_system.queues.id

  posix_user {
    uid = 1883
    gid = 1883
  }

  root_directory {
    path = "/broker"

    creation_info {
      owner_uid   = 1883
      owner_gid   = 1883
      permissions = "0700"
    }
  }

  tags = { Name = "efs-ap-${var.name_prefix}-broker" }
}

resource "aws_efs_file_system_policy" "queues" {
  file_system_id = aws_efs_file_system.queues.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EncryptedOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "*"
        Resource  = aws_efs_file_system.queues.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "BrokerTasks"
        Effect    = "Allow"
        Principal = { AWS = var.task_role_arn }
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.queues.arn
        Condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = aws_efs_access_point.queues.arn } }
      },
    ]
  })
}
