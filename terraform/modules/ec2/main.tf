data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${var.architecture}"
}

# default_tags reach neither what an Auto Scaling group makes nor the volumes of its instances.
data "aws_default_tags" "current" {}

resource "aws_security_group" "portal_api" {
  name        = "${var.name_prefix}-portal-sg"
  description = "Instances of the portal"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-portal" }
}

resource "aws_cloudwatch_log_group" "portal" {
  name              = "/ec2/asg-${var.name_prefix}-portal"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_launch_template" "portal_api" {
  name          = "lt-${var.name_prefix}-portal"
  image_id      = nonsensitive(data.aws_ssm_parameter.ami.value)
  instance_type = var.instance_type

  # The bundle's checksum stands in it: a new bundle is a new version, which replaces instances.
  user_data = base64encode(templatefile("${path.module}/user_data.sh.tftpl", {
    bundle      = var.bundle
    environment = var.environment
    log_group   = aws_cloudwatch_log_group.portal.name
  }))

  vpc_security_group_ids = [aws_security_group.portal_api.id]
  update_default_version = true

  iam_instance_profile {
    arn = var.instance_profile_arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required" # IMDSv2 only
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 8
      encrypted             = true
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(data.aws_default_tags.current.tags, { Name = "ebs-${var.name_prefix}-portal" })
  }

  monitoring {
    enabled = false # five minutes are enough to scale by, and cost nothing
  }

  tags = { Name = "lt-${var.name_prefix}-portal" }
}

resource "aws_autoscaling_group" "portal_api" {
  name                = "asg-${var.name_prefix}-portal"
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = [var.target_group_arn]

  health_check_type         = "ELB"
  health_check_grace_period = 300 # seconds to install the bundle
  default_instance_warmup   = 120

  launch_template {
    id      = aws_launch_template.portal_api.id
    version = aws_launch_template.portal_api.latest_version
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 150
      auto_rollback          = true
    }
  }

  dynamic "tag" {
    for_each = merge(data.aws_default_tags.current.tags, { Name = "ec2-${var.name_prefix}-portal" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }
}

resource "aws_autoscaling_policy" "cpu" {
  name                   = "scaling-${var.name_prefix}-portal-cpu"
  autoscaling_group_name = aws_autoscaling_group.portal_api.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 60

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}
