"""What Onward is measured against."""
